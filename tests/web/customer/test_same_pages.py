"""Whoever enters a new address learns from no page whether it is taken, nor what became of the mail to it."""

import re
from difflib import unified_diff

import pytest
from sqlalchemy import event

from kmzportal.db import db
from kmzportal.models import LinkKind, MailState
from kmzportal.services import accounts, desk, outbox
from kmzportal.services.outbox import DeliveryResult
from tests import people
from tests.browser import Browser
from tests.site_wide.routes import routes

ADDRESS = "neu@andere-schule.example"
RANDOM = re.compile(
    r'(?<=name="csrf_token" value=")[^"]+|(?<=name="csrf_token" type="hidden" value=")[^"]+|(?<=geraete/)\d+|'
    r"(?<=device-)\d+|(?<=konto-link/)\d+|[0-9a-f]{32}(?=@)|V-\w{4}-\w{4}|(?<=data-passkey=\")[^\"]+"
)
FREE = {}  # what she sees of a free address, by step; the same for all cases
NOT_COMPARED = {"Set-Cookie", "Content-Length"}
SENT, REFUSED = DeliveryResult(MailState.SENT, 250), DeliveryResult(MailState.REFUSED, 550, "Adresse unbekannt")


def taken(backend, other):
    backend.update(other, email=ADDRESS, email_canonical=ADDRESS)


def pending_for_another(backend, other):
    backend.run(accounts.request_address_change, other, ADDRESS)


def corrected_for_another(backend, other):
    backend.run(desk.correct_address, other, other.version, ADDRESS, "callback", "", initials="ro")


def created_for_another(backend, _other):
    backend.run(desk.create_customer, "K-77", ADDRESS, {"last_name": "Neumann"}, actor="clerk:1", initials="ro")


def taken_by_a_clerk(backend, _other):
    backend.update(backend.add(people.person(people.TIM)), email=ADDRESS, email_canonical=ADDRESS)


def over_its_cap(backend, other):
    taken(backend, other)
    with backend.transaction() as tx:
        for _ in range(10):
            tx.send("password_changed", other, to=ADDRESS, always=True)


class Asker:
    """Erika, in a portal with her, Max and no one else, and all that she can see."""

    def __init__(self, app, backend, clock, adjust, mailed):
        with app.app_context(), db.engine.begin() as connection:
            for table in reversed(db.metadata.sorted_tables):
                connection.execute(table.delete())
        clock.move_to(people.NOW)
        self.app, self.backend, self.adjust, self.mailed = app, backend, adjust, mailed
        self.erika, self.max = (backend.add(people.person(data)) for data in (people.ERIKA, people.MAX))
        self.statements = []

    def log_in(self):
        self.browser = self.adjust(Browser(self.app), self.erika)

    def ask(self):
        with self.app.app_context():
            event.listen(db.engine, "before_cursor_execute", self._count)
            self.browser.submit("Speichern", {"Neue E-Mail-Adresse": ADDRESS})
            event.remove(db.engine, "before_cursor_execute", self._count)

    def _count(self, _connection, _cursor, statement, *_rest):
        self.statements.append(statement)

    def work(self, result):
        """Post all mails; the mail server answers each one to the new address with this result."""
        for mail in self.backend.mails():
            if self.backend.run(outbox.claim, mail.id):
                answer = result if mail.recipient == ADDRESS else SENT
                self.backend.run(outbox.settle, mail.id, mail.tries + 1, answer)

    def newest(self, kind):
        return [link for link in self.backend.links(kind) if link.customer_id == self.erika.id][-1]

    def pages(self):
        """Return all pages of a customer and of everybody, as her browser shows them."""
        paths = [one.path for one in routes(self.app, "GET") if one.access in ("customer", "anyone")]
        return [f"{path} {self._shown(self.browser.client.get(path, base_url=self.browser.site))}" for path in paths]

    def flow(self, browser, *presses):
        """Return the page of a browser after each of these steps."""
        shown = [self._shown(browser.answer)]
        for press in presses:
            press(browser)
            shown.append(self._shown(browser.answer))
        return shown

    @staticmethod
    def _shown(answer):
        headers = [pair for pair in answer.headers if pair[0] not in NOT_COMPARED]
        return RANDOM.sub("…", f"{answer.status}\n{headers}\n{answer.text}")


def all_she_sees(asker, clock, result):
    """Yield a name and what she sees after each step: asking, the mail's way, asking again, the desk's acts, expiry."""
    asker.log_in()
    asker.ask()
    yield "asked", asker.pages()
    asker.work(result)
    yield "sent", asker.pages()
    mails = [mail for mail in asker.backend.mails("address_link") if mail.customer_id == asker.erika.id]
    if mails[-1].state == MailState.SENT:
        asker.backend.run(lambda tx, mail: outbox.mark_bounced(tx, mail, 550, "Adresse unbekannt"), mails[-1])
    yield "came back", asker.pages()
    asker.browser.open("/einstellungen/konto")
    asker.ask()
    asker.work(result)
    yield "asked again", asker.pages()
    clerk = {"actor": "clerk:1", "initials": "ro"}
    asker.backend.run(desk.send_again, asker.newest(LinkKind.ADDRESS), **clerk)
    asker.work(result)
    yield "sent again by the desk", asker.pages()
    link = asker.backend.run(desk.send_link, asker.erika, "ro", **clerk)
    asker.work(result)
    yield "link by the desk", asker.pages()
    steps = (
        lambda browser: browser.follow("Code aus der E-Mail eingeben"),
        lambda browser: browser.submit("Bestätigen", {"Code aus der E-Mail": asker.backend.keys.code(link)}),
        lambda browser: browser.follow("Konto bearbeiten"),
    )
    yield "pages of the link", asker.flow(Browser(asker.app).open(asker.mailed(link)), *steps)
    objection = asker.mailed(asker.newest(LinkKind.OBJECTION))
    yield "notice", asker.flow(Browser(asker.app).open(objection))
    form = {"Vorname": "Erika", "Nachname": "Mustermann", "Schule": "GMS", "Neue E-Mail-Adresse": ADDRESS}
    form |= {"Bisherige E-Mail-Adresse": asker.erika.email}
    written = Browser(asker.app).open("/kein-zugriff/adresse-geaendert")
    yield (
        "written request",
        asker.flow(written, lambda browser: browser.submit("Code aus der E-Mail eingeben", form)),
    )
    clock.shift(25 * 60 * 60)
    asker.log_in()
    yield "expired", asker.pages()
    asker.ask()
    asker.browser.open("/einstellungen").press("Bisherige Adresse behalten")
    asker.work(result)
    yield "withdrawn", asker.pages()
    asker.browser.open("/einstellungen/konto")
    asker.ask()
    asker.backend.run(desk.withdraw_link, asker.newest(LinkKind.ADDRESS), **clerk)
    yield "withdrawn by the desk", asker.pages()
    yield "statements of the database", asker.statements


@pytest.mark.parametrize(
    ("prepare", "result"),
    [
        *((taken, SENT), (over_its_cap, SENT), (corrected_for_another, SENT)),
        *((pending_for_another, REFUSED), (taken_by_a_clerk, REFUSED)),
    ],
)
def test_no_page_tells_whether_a_new_address_is_taken(app, backend, clock, adjust, mailed, prepare, result):
    if not FREE:
        FREE.update(all_she_sees(Asker(app, backend, clock, adjust, mailed), clock, SENT))
    asker = Asker(app, backend, clock, adjust, mailed)
    prepare(backend, asker.max)
    for step, seen in all_she_sees(asker, clock, result):
        lines = ["\n".join(each).split("\n") for each in (FREE[step], seen)]
        different = "\n".join(unified_diff(*lines, n=0))
        assert not different, f"{step}: {different}"


@pytest.mark.parametrize("given", [corrected_for_another, created_for_another])
def test_no_page_tells_that_a_pending_address_was_given_to_somebody_else(app, backend, clock, adjust, mailed, given):
    asker = Asker(app, backend, clock, adjust, mailed)
    asker.log_in()
    asker.ask()
    asker.work(SENT)
    before = asker.pages()
    given(backend, asker.max)
    assert asker.pages() == before
    asker.browser.open("/einstellungen/konto")
    asker.browser.submit("Speichern", {"Passwort": people.NEW_PASSWORD, "Wdh. Passwort": people.NEW_PASSWORD})
    assert backend.read(asker.erika).password_set_at and ADDRESS not in asker.browser.open("/einstellungen").text, (
        "a new password ends what she entered, as if the address were free"
    )
