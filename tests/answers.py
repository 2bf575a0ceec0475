"""Results of a delivery, as a mail server gives them."""

from kmzportal.models import MailState
from kmzportal.services.outbox import DeliveryResult

TAKEN = DeliveryResult(MailState.SENT, 250)
GREYLISTED = DeliveryResult(MailState.DEFERRED, 450, "Der Mailserver nimmt die E-Mail gerade nicht an")
UNKNOWN = DeliveryResult(MailState.REFUSED, 550, "Adresse unbekannt")
DOWN = DeliveryResult(MailState.DEFERRED, None, "Der Mailserver ist nicht erreichbar", server_failed=True)
