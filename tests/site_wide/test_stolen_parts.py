"""Whoever steals one part gets in nowhere: SECRET_KEY, the database, both without the other keys, or an old cookie."""

import re
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from kmzportal.db import db
from kmzportal.models import LinkKind
from kmzportal.services import recovery, sessions
from kmzportal.services.second_factor import SecondFactor
from kmzportal.services.tokens import LinkKeys
from kmzportal.web import cookie
from tests import people
from tests.browser import TOKEN_KEY, Browser
from tests.people import NEW, NEW_PASSWORD
from tests.site_wide.routes import routes

pytestmark = pytest.mark.usefixtures("clock")
TYPED_PHONE, TYPED_ADDRESS = "07051 47114711", "getippt@privat.example"
PROTECTED = ("customer", "clerk", "account_link", "login_session", "link_visit")
LINKS = "/konto-link/1"


#: Where each token of the cookie leads, and where everybody ends who has none.
ENTRIES = (
    *("/einstellungen", "/kundenservice/mitarbeitende", "/kundenservice/zweiter-faktor", "/anmelden"),
    *("/passwort-vergessen", "/passwort-vergessen/gesendet", "/kein-zugriff/gesendet"),
)
DOORS = {"/anmelden", "/kundenservice/anmelden", "/passwort-vergessen", "/kein-zugriff"}


def with_every_key(value):
    """The value in each place where the cookie holds a token now."""
    return {cookie.VISITS: [value], **dict.fromkeys((TOKEN_KEY, "awaits_code", *cookie.KEPT), value)}


class Loot:
    """A portal in use: sessions, a half login, an opened link of each kind, what people typed; and its parts."""

    def __init__(self, app, scenario, clock):
        self.app, self.scenario = app, scenario
        self.backend = scenario.backend
        erika, rosa = scenario.erika, scenario.rosa
        self.factor = self.backend.add_second_factor(scenario.tim)
        holders = {kind: rosa if kind == LinkKind.CLERK_FIRST else erika for kind in LinkKind}
        self.links = {kind: scenario.issue(kind, person) for kind, person in holders.items()}
        self.owners = {kind: scenario.open_link(link) for kind, link in self.links.items()}
        checked = self.owners[LinkKind.DESK].follow("Code aus der E-Mail eingeben")
        checked.submit("Bestätigen", {"Code aus der E-Mail": self.backend.keys.code(self.links[LinkKind.DESK])})
        late = scenario.log_in(erika).open("/einstellungen/konto")
        late.submit("Weiter", {"Aktuelles Passwort": people.password_of(erika)})
        self.backend.run(sessions.end_all, erika)
        late.submit("Speichern", {"Telefon": TYPED_PHONE})
        scenario.new_browser().open("/passwort-vergessen").submit("Link anfordern", {"E-Mail-Adresse": TYPED_ADDRESS})
        scenario.log_in(erika), scenario.desk_browser(rosa)
        scenario.new_browser().log_in(scenario.tim, path="/kundenservice/anmelden")
        self.private = [erika.email, erika.last_name, rosa.email, scenario.tim.email, TYPED_PHONE, TYPED_ADDRESS]

    def rows(self):
        with self.app.app_context(), db.engine.connect() as connection:
            tables = [db.metadata.tables[name] for name in PROTECTED]
            return [tuple(row) for table in tables for row in connection.execute(select(table).order_by(table.c.id))]

    def dump(self):
        """Return every text of the database that could be taken for a secret."""
        with self.app.app_context(), db.engine.connect() as connection:
            rows = [row for table in db.metadata.sorted_tables for row in connection.execute(select(table))]
        return sorted({value for row in rows for value in row if isinstance(value, str) and len(value) > 15})

    def attack(self, forged, only=""):
        """Try all routes, or those that begin with `only`, with this cookie, and return the paths that opened."""
        thief = Browser(self.app).open("/anmelden")
        fields = {"csrf_token": thief.csrf_token, "human": "y", "new": NEW_PASSWORD, "repeat": NEW_PASSWORD}
        fields |= {"last_name": "Dieb", "code": "AAAA-AAAA", "password": NEW_PASSWORD, "current": NEW_PASSWORD}
        with thief.client.session_transaction(base_url=thief.site) as session:
            session.update(forged)
        stolen, opened = thief.cookie, []
        for route in (route for route in routes(self.app) if route.path.startswith(only)):
            for method in sorted(route.methods & {"GET", "POST"}):
                for path in self.paths(route.path):
                    thief.cookie = stolen
                    answer = thief.client.open(path, method=method, base_url=thief.site, data=fields)
                    assert answer.status_code < 500, (path, forged)
                    closed = route.access == "anyone" or answer.status_code in (303, 403, 404)
                    if not closed or any(text in answer.text for text in self.private):
                        opened.append((method, path, answer.status_code))
        return opened

    def look(self, value):
        """Open, with the value in each place of the cookie, the pages that they lead to; return those that opened."""
        thief = Browser(self.app)
        with thief.client.session_transaction(base_url=thief.site) as session:
            session.update(with_every_key(value))
        stolen, opened = thief.cookie, []
        for path in ENTRIES:
            thief.cookie = stolen
            if any(text in thief.open(path).answer.text for text in self.private) or thief.path not in DOORS:
                opened.append((path, thief.path))
        return opened

    def paths(self, path):
        if path.startswith(LINKS):
            kinds = LinkKind if path == LINKS else (LinkKind.DESK, LinkKind.CLERK_FIRST)
            return [path.replace(LINKS, f"/konto-link/{self.links[kind].id}", 1) for kind in kinds]
        return [path.replace("/kunden/1", f"/kunden/{self.scenario.erika.id}")]


@pytest.fixture
def loot(app, scenario, clock):
    return Loot(app, scenario, clock)


def test_with_the_signing_key_alone_nothing_opens_and_nothing_changes(loot):
    now = int(datetime.now(UTC).timestamp())
    ids, before = [link.id for link in loot.links.values()], loot.rows()
    request = {"address": loot.scenario.erika.email, "reference": "V-AAAA-AAAA", "at": now}
    typed = {"actor": "visitor", "path": f"/konto-link/{ids[1]}/konto", "fields": {"phone": ["1"]}}
    of_earlier_versions = {
        "links": {str(number): [now, now, True] for number in ids},
        "factor": [ids[3], "x" * 43],
        "kept_form": typed,
        "recovery": request,
        "case": ["V-AAAA-AAAA", "2026-11-30"],
        "address": loot.scenario.erika.email,
    }
    person = loot.scenario.erika.id
    assert loot.attack(of_earlier_versions | with_every_key(str(person))) == []
    guesses = [ids[0], str(ids[0]), f"link:{ids[1]}", True, None, [ids], request, "\ud800", "", f"customer:{person}"]
    for guess in guesses:
        assert loot.look(guess) == [], guess
    for visits in (of_earlier_versions["links"], ids, guesses[:5], guesses[5:]):
        assert loot.attack({cookie.VISITS: visits}, only=LINKS) == []
    assert loot.rows() == before


def test_with_the_signing_key_and_the_database_nothing_opens(loot, ask_link):
    """Each text of a dump, as it is in the cookie and in a link, and what derives from it without LINK_KEY."""
    dump, before = loot.dump(), loot.rows()
    assert len(dump) > 25 and any(len(text) == 64 for text in dump)
    hashes_and_nonces = [text for text in dump if re.fullmatch(r"[\w-]{32,}", text)]
    for text in dump:
        assert ask_link(text) == 404, text
    keys = LinkKeys([loot.app.config["SECRET_KEY"], "", *hashes_and_nonces[:3]])
    for nonce in hashes_and_nonces:
        for token in keys.derive("token", nonce):
            assert ask_link(token.hex()) == 404
    assert loot.factor.secret != SecondFactor(keys, "nonce of tb").secret
    for text in hashes_and_nonces:
        assert loot.look(text) == [], text
    for place in range(0, len(hashes_and_nonces), 5):
        assert loot.attack({cookie.VISITS: hashes_and_nonces[place : place + 5]}, only=LINKS) == []
    assert loot.rows() == before


@pytest.fixture
def ask_link(app):
    client = app.test_client()
    return lambda token: client.get(f"/link/{token}", base_url=app.config["PUBLIC_URL"]).status_code


def replay(app, stolen, link, *pages):
    """Return status and headings of the link's pages for a browser with this cookie."""
    thief = Browser(app)
    thief.cookie = stolen
    return {thief.open(f"/konto-link/{link.id}{page}").status for page in ("", *pages)}, thief.text


@pytest.mark.parametrize("end", ["Abbrechen", "Abmelden", "redeem"])
def test_a_cookie_from_before_the_end_of_a_visit_opens_nothing(app, scenario, end):
    link = scenario.issue(LinkKind.DESK, scenario.erika)
    browser = scenario.new_browser()
    browser.open(scenario.link_path(link)).follow("Code aus der E-Mail eingeben")
    browser.submit("Bestätigen", {"Code aus der E-Mail": scenario.backend.keys.code(link)})
    browser.follow("Konto bearbeiten")
    stolen = browser.cookie
    assert replay(app, stolen, link, "/konto")[0] == {200}
    other = scenario.open_link(link)
    if end == "redeem":
        assert browser.submit("Registrieren", NEW).heading == "Fertig"
        assert browser.open(f"/konto-link/{link.id}/fertig").status == 200
        assert other.open(f"/konto-link/{link.id}/fertig").status == 410
    elif end == "Abmelden":
        browser.post("/abmelden")
    else:
        browser.press(end)
    pages = "/konto", "/roboter", "/raetsel", "/code", "/fertig"
    for cookie_now in (stolen, browser.cookie) if end != "redeem" else (stolen,):
        status, text = replay(app, cookie_now, link, *pages)
        assert status == {410 if end == "redeem" else 404} and scenario.erika.email not in text


def test_the_codes_on_paper_are_shown_to_no_cookie_neither_from_before_nor_from_after(app, scenario):
    browser = scenario.open_link(link := scenario.issue(LinkKind.CLERK_FIRST, scenario.rosa)).submit("Weiter", NEW)
    stolen = browser.cookie
    code = scenario.backend.totp_code(browser.read("code"))
    browser.submit("Zugang einrichten", {"Code aus der App": code})
    done, shown = browser.cookie, browser.read("code")
    assert len(shown) == 19
    for copied in (stolen, done):
        for page in ("/zugang", "/zugang/code", "/zugang/fertig"):
            assert shown not in replay(app, copied, link, page)[1]


def test_after_logging_out_for_a_link_only_that_one_goes_on_and_no_cookie_from_before(app, scenario):
    hers, other = (scenario.issue(LinkKind.RECOVERY, person) for person in (scenario.erika, scenario.anneliese))
    browser = scenario.log_in(scenario.max).open(scenario.link_path(other)).open(scenario.link_path(hers))
    stolen = browser.cookie
    assert browser.press("Abmelden und weiter").heading == "Neues Passwort"
    assert browser.open(f"/konto-link/{other.id}/passwort").status == 404
    assert [replay(app, stolen, link, "/passwort")[0] for link in (hers, other)] == [{404}, {404}]


def test_what_was_typed_is_in_no_cookie_and_comes_back_in_no_other_browser(app, scenario, loot):
    with app.app_context(), db.engine.connect() as connection:
        kept = list(connection.execute(select(db.metadata.tables["kept_entry"])))
    assert len(kept) == 2 and TYPED_PHONE in str(kept) and TYPED_ADDRESS in str(kept)
    browser = scenario.log_in(scenario.erika)
    assert TYPED_PHONE not in browser.open("/einstellungen/konto").answer.text
    scenario.backend.run(recovery.request_link, TYPED_ADDRESS)
    assert TYPED_ADDRESS not in Browser(app).open("/anmelden").answer.text


def test_a_notice_of_the_desk_names_nobody_in_the_cookie(scenario):
    page = f"/kundenservice/kunden/{scenario.erika.id}"
    desk = scenario.desk_browser(scenario.rosa).open(page)
    form = next(one for one in desk.page.forms if one.get("action") == f"{page}/link")
    assert desk.post(f"{page}/link", **dict(form.form_values())).status_code == 303
    assert "_flashes" in desk.session and scenario.erika.email not in repr(desk.session)
    assert f"unterwegs an {scenario.erika.email}" in desk.open(page).text
