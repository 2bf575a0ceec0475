"""The catalogue that the accounts are for: named on the way to it, and on no page at all when the office has none."""

from pathlib import Path

import pytest

from kmzportal import settings
from kmzportal.mail.previews import previews
from kmzportal.models import LinkKind
from kmzportal.services import accounts, office_pages
from kmzportal.services.passwords import WeakPassword
from kmzportal.web.site.markdown import parse
from tests.browser import Browser, words
from tests.people import NEW
from tests.states import every_state

pytestmark = pytest.mark.usefixtures("clock")
TYPED = "enötige neue Zugangsdaten für edupool"  # by the sample people
URL = "https://filme.example/start"
SAME_LOGIN = "Dort melden Sie sich mit Ihrer E-Mail-Adresse und {} an."


@pytest.fixture
def catalogue(app, monkeypatch):
    """Change settings CATALOGUE_* of the running portal."""

    def change(**values):
        for name, value in values.items():
            monkeypatch.setitem(app.config, f"CATALOGUE_{name.upper()}", value)
        monkeypatch.setitem(app.jinja_env.globals, "catalogue", settings.catalogue(app.config))
        texts = office_pages.read(Path(app.instance_path), app.config)  # as at start
        monkeypatch.setitem(app.extensions, "office_pages", {page: parse(text) for page, text in texts.items()})
        app.jinja_env.cache.clear()  # it holds imported macros with the globals of their first use

    yield change
    app.jinja_env.cache.clear()


def led_to(browser):
    return [one.get("href") for one in browser.page.iter("a") if words(one) == "Weiter zu Filmschrank"]


@pytest.mark.parametrize("same_login", [False, True])
def test_login_done_and_settings_lead_to_the_catalogue(browser, erika, backend, issue, catalogue, same_login):
    catalogue(name="Filmschrank", url=URL, same_login=same_login)
    assert "Ihr Konto für Filmschrank" in browser.open("/anmelden").text
    assert led_to(browser) == []
    token = backend.keys.token(issue(LinkKind.RECOVERY, erika))
    browser.open(f"/link/{token}").submit("Passwort speichern", NEW)
    assert (browser.heading, led_to(browser)) == ("Fertig", [URL])
    assert (SAME_LOGIN.format("dem neuen Passwort") in browser.text) is same_login
    browser.follow("Zur Anmeldung").submit("Anmelden", {"Passwort": NEW["Passwort"]})
    assert (browser.heading, led_to(browser)) == ("Einstellungen", [URL])
    assert (SAME_LOGIN.format("Ihrem Passwort") in browser.text) is same_login


def test_without_an_address_of_its_own_it_is_on_the_site_of_the_office(app, catalogue, erika):
    catalogue(name="Filmschrank", url="")
    assert led_to(Browser(app).log_in(erika)) == [app.config["OFFICE_SITE"]]


def test_without_a_catalogue_no_page_and_no_mail_has_a_word_of_it(app, scenario, catalogue):
    name = app.config["CATALOGUE_NAME"]
    assert name in Browser(app).open("/anmelden").text
    catalogue(name="", same_login=True)
    for state, browser in every_state(scenario):
        shown = browser.answer.text.replace(TYPED, "")
        assert name not in shown and "Ihr Konto für" not in shown and "Weiter zu" not in shown, state
    for template, mail in previews(app.config).items():
        assert name not in mail.body + mail.html, template


def test_its_name_is_no_password(app, erika, catalogue):
    catalogue(name="Filmschrank")
    with pytest.raises(WeakPassword) as refused:
        accounts.validate_password("Filmschrank123", erika, app.config)
    assert "„Filmschrank“" in refused.value.message
    accounts.validate_password("edupool lampe", erika, app.config)
