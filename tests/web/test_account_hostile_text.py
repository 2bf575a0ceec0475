"""Konto anpassen takes names as they are; hostile text is text or is refused, and nothing is smuggled in."""

import pytest

from tests.browser import Browser
from tests.web.adjusting import FIELDS, adjust
from tests.web.by_hand import post

pytestmark = pytest.mark.usefixtures("clock")
HOSTILE = {
    "html": "<img src=x onerror=alert(1)>",
    "attribute": '" autofocus onfocus="alert(1)',
    "template": "{{7*7}}{% raise %}${7*7}",
    "formula": '=HYPERLINK("https://evil.example","x")',
    "headers": "Müller\r\nBcc: alle@evil.example",
    "null": "Mül\0ler",
    "bidi": "Müller\u202eexe.txt\u2066",
    "escape": "\x1b[31mMüller",
    "separator": "Müller\u2028Meier",
    "long": "x" * 10_000,
    "emoji": "👩‍🏫" * 30,
    "surrogate": b"\xed\xa0\x80".decode("utf-8", "replace"),
    "sql": "'; DROP TABLE customer; --",
    "percent": "%00%s%n%(x)s",
}


@pytest.mark.parametrize(
    "name", ["Ü", "O’Neill-Şimşek", "Nguyễn Thị", "ß", "d'Arc", "x" * 100, "null", "Müller (Sekretariat)"]
)
def test_real_names_are_taken_as_they_are(browser, backend, erika, name):
    adjust(browser, erika).submit("Speichern", {"Nachname": name})
    assert backend.read(erika).last_name == name


@pytest.mark.both_databases
@pytest.mark.parametrize("fields", [["Nachname"], ["Schule"], FIELDS], ids=["name", "school", "all"])
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_text_or_is_refused(app, backend, erika, fields, text):
    """Both databases: PostgreSQL takes no NUL."""
    browser = adjust(Browser(app), erika)
    browser.submit("Speichern", dict.fromkeys(fields, text))
    assert browser.status in (200, 422)
    assert [one for one in browser.page.iter("img") if "x" in one.get("src", "")] == []
    assert [one for one in browser.page.iter() if "onfocus" in one.attrib] == []
    read = text.replace("\r\n", "\n").replace("\0", "\ufffd")  # as browsers read it (HTML 13.2.3.5 and 13.2.5)
    assert [browser.value(field) for field in fields if browser.status == 422] in ([], [read] * len(fields))
    kept = repr(backend.read(erika).data())
    assert not any(sign in kept for sign in ("\\r", "\\n", "\\x", "\\u2028"))
    for path in ("/einstellungen", "/einstellungen/daten", "/einstellungen/daten.json", "/einstellungen/verlauf"):
        assert browser.open(path).status == 200


@pytest.mark.both_databases
@pytest.mark.parametrize("name", ["salutation", "email", "new", "repeat", "current", "csrf_token", "unbekannt"])
def test_what_the_form_never_offers_is_text_or_is_refused_too(app, backend, erika, name):
    browser = adjust(Browser(app), erika)
    token = next(one.get("value") for one in browser.page.iter("input") if one.get("name") == "csrf_token")
    for text in HOSTILE.values():
        data = {"csrf_token": token, "last_name": "Mustermann", name: text}
        answer = browser.client.post("/einstellungen/konto", data=data, base_url=browser.site)
        assert answer.status_code in (303, 422)
    assert backend.read(erika).salutation == "Frau"


def test_what_is_not_in_the_form_cannot_be_smuggled_in(browser, backend, erika, max_):
    adjust(browser, erika)
    smuggled = {
        "number": "K-0000", "email_canonical": "dieb@evil.example", "id": str(max_.id), "customer_id": str(max_.id),
        "locked_at": "2026-01-01", "password_hash": "x", "pending_email": "dieb@evil.example",
        "imported": "{}", "created_at": "2026-01-01", "admin": "1", "role": "admin",
    }  # fmt: skip
    assert (
        post(browser, "/einstellungen/konto", last_name="Neu", version=str(erika.version), **smuggled).status_code
        == 303
    )
    hers, his = backend.read(erika), backend.read(max_)
    assert (hers.last_name, hers.number, hers.email, hers.pending_email) == ("Neu", erika.number, erika.email, None)
    assert (hers.version, hers.password_hash, hers.locked_at) == (erika.version + 1, erika.password_hash, None)
    assert (his.last_name, his.version) == (max_.last_name, max_.version)
