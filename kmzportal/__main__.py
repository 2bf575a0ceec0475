"""python -m kmzportal: the same as the console script."""

from kmzportal.cli import main

main()
