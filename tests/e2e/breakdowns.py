"""What nobody wants to see: a page whose network is gone, and one after a bug. Only a real browser in front of a real
portal gets there; otherwise a way like those of tests/states.py.
"""

from collections.abc import Iterator

from playwright.sync_api import expect

from tests import people, states
from tests.e2e.hands import button
from tests.states import House, State


def the_breakdowns(house: House) -> Iterator[State]:
    stranger = house.sit_down().open("/passwort-vergessen")
    if stranger.htmx:  # without JavaScript the browser says it, on a page of its own
        stranger.fill_in("E-Mail-Adresse", house.erika.email)
        stranger.page.context.set_offline(True)
        stranger.hand.press(button(stranger.page, "Link anfordern"))
        expect(stranger.page.locator("#meldung")).to_contain_text("Keine Verbindung.")
        yield "passwort-vergessen/offline", stranger
    hers = house.log_in(house.erika).open("/einstellungen/daten")
    hers.submit("Weiter", {"Aktuelles Passwort": people.password_of(house.erika)})
    mail = house.backend.run(lambda tx, person: tx.send("password_changed", person), house.erika)
    house.set(mail, state="a state that nobody knows")
    yield "fehler/500", hers.open("/einstellungen/daten")


ALL_WAYS = (*states.WAYS, the_breakdowns)
