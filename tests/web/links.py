"""What the pages of all links say, the newest link there is, and the shortest way through the robot check."""

from sqlalchemy import select

from kmzportal.models.account_link import AccountLink

LOST = "Diesen Link können wir nicht öffnen"
DEAD = "Dieser Link gilt nicht mehr"


def newest(backend):
    return backend.read(select(AccountLink).order_by(AccountLink.id))[-1]


def pass_the_robot_check(browser, backend, link):
    browser.follow("Code aus der E-Mail eingeben")
    return browser.submit("Bestätigen", {"Code aus der E-Mail": backend.keys.code(link)})
