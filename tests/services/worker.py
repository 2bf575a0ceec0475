"""The outbox as the worker uses it, each step in a transaction of its own."""

from datetime import timedelta

from sqlalchemy import select

from kmzportal.domain.account_link import LinkKind
from kmzportal.domain.outgoing_mail import OutgoingMail
from kmzportal.services import account_link, outbox

TEMPLATES = {LinkKind.OBJECTION: "address_changed_old", None: "password_changed"}


class Outbox:
    def __init__(self, deeds, person):
        self.deeds = deeds
        self.person = person

    def queue(self, kind=None):
        def deed(work, person):
            link = account_link.issue(work, kind, person) if kind else None
            return work.send(TEMPLATES.get(kind, f"{kind}_link"), person, link=link)

        return self.deeds.do(deed, self.person).id

    def due(self):
        return self.deeds.do(lambda work: list(outbox.due(work.session, work.now)))

    def claim(self, mail_id):
        return self.deeds.do(outbox.claim, mail_id, actor="worker")

    def settle(self, mail, answer):
        return self.deeds.do(outbox.settle, mail.id, mail.leased_until, answer, actor="worker")

    def try_(self, mail_id, answer):
        return self.settle(self.claim(mail_id), answer)

    def mail(self, mail_id):
        return self.deeds.read(select(OutgoingMail).where(OutgoingMail.id == mail_id))[0]

    def end_links(self, as_):
        self.deeds.do(account_link.end, self.person, as_, set(LinkKind))


def wait(clock, **how_long):
    clock.shift(timedelta(**how_long))
