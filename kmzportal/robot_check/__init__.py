"""The picture puzzle: nine tiles, a question in German, and nothing kept on the server but used ids."""
