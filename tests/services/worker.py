"""The outbox as the worker uses it, each step in a transaction of its own."""

from datetime import timedelta

from sqlalchemy import select

from kmzportal.models.account_link import LinkKind
from kmzportal.models.outgoing_mail import OutgoingMail
from kmzportal.services import links, outbox

TEMPLATES = {LinkKind.OBJECTION: "address_changed_old", None: "password_changed"}


class Outbox:
    def __init__(self, backend, person):
        self.backend = backend
        self.person = person

    def queue(self, kind=None):
        def deed(tx, person):
            link = links.issue(tx, kind, person) if kind else None
            return tx.send(TEMPLATES.get(kind, f"{kind}_link"), person, link=link)

        return self.backend.run(deed, self.person).id

    def due(self):
        return self.backend.run(lambda tx: list(outbox.due(tx.session, tx.now)))

    def claim(self, mail_id):
        return self.backend.run(outbox.claim, mail_id, actor="worker")

    def settle(self, mail, answer):
        return self.backend.run(outbox.settle, mail.id, mail.leased_until, answer, actor="worker")

    def try_(self, mail_id, answer):
        return self.settle(self.claim(mail_id), answer)

    def mail(self, mail_id):
        return self.backend.read(select(OutgoingMail).where(OutgoingMail.id == mail_id))[0]

    def end_links(self, as_):
        self.backend.run(links.end, self.person, as_, set(LinkKind))


def wait(clock, **how_long):
    clock.shift(timedelta(**how_long))
