"""The picture puzzle of the robot check: nine tiles and a German question. Only ids of used puzzles are stored."""
