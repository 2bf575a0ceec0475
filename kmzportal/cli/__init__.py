"""The command line. Each module holds one group of commands; each calls the same services as the web."""

COMMANDS: tuple[object, ...] = ()
