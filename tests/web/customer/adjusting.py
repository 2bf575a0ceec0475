"""A customer in front of Konto anpassen."""

from tests import people

CURRENT, NEW_ADDRESS = "Aktuelles Passwort", "Neue E-Mail-Adresse"
FIELDS = ("Vorname", "Nachname", "Schule", "Straße", "Telefon")


def adjust(browser, person):
    """Log in, go to Konto anpassen and prove the password."""
    browser.log_in(person).follow("Konto anpassen")
    return browser.submit("Weiter", {CURRENT: people.password_of(person)})
