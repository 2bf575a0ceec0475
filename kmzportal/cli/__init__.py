"""The command line. Each module holds one group of commands; each calls the same services as the web."""

from kmzportal.cli.clerks import clerks
from kmzportal.cli.config import config
from kmzportal.cli.customers import customers
from kmzportal.cli.links import links
from kmzportal.cli.mail import mail
from kmzportal.cli.serve import serve, work

#: What every app has; main adds Flask's own commands and the demo.
COMMANDS = (serve, work, customers, clerks, links, mail, config)
