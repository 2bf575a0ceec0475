"""The two doors: what both say to whoever is refused, and the desk's two steps with what a cookie holds on the way."""

DOOR, CODE, DESK = "/kundenservice/anmelden", "/kundenservice/zweiter-faktor", "/kundenservice"
REFUSED = "Falsche Zugangsdaten"
FIELD = "Code aus der App"
WRONG = "Dieser Code stimmt nicht."


def log_in(browser, clerk, password=None, path=DOOR):
    return browser.log_in(clerk, password, path)


def cookies(browser):
    with browser.client.session_transaction(base_url=browser.site) as session:
        return dict(session)


def plant(browser, **entries):
    with browser.client.session_transaction(base_url=browser.site) as session:
        session.update(entries)


def is_at_the_desk(browser):
    return browser.open(DESK).path not in (DOOR, f"{DOOR}?weiter={DESK}")
