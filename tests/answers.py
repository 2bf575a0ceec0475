"""What a mail server says to a mail."""

from kmzportal.domain.outgoing_mail import MailState
from kmzportal.services.outbox import Answer

TAKEN = Answer(MailState.SENT, 250)
GREYLISTED = Answer(MailState.DEFERRED, 450, "Der Mailserver nimmt die E-Mail gerade nicht an")
UNKNOWN = Answer(MailState.REFUSED, 550, "Adresse unbekannt")
DOWN = Answer(MailState.DEFERRED, None, "Der Mailserver ist nicht erreichbar", disturbed=True)
