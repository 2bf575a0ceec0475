"""The processes: a web server, a worker, and a parent that watches over both."""
