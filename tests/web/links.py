"""What the pages of all links say, and the shortest way through the robot check."""

LOST = "Diesen Link können wir nicht öffnen"
DEAD = "Dieser Link gilt nicht mehr"


def pass_the_robot_check(browser, deeds, link):
    browser.follow("Code aus der E-Mail eingeben")
    return browser.submit("Bestätigen", {"Code aus der E-Mail": deeds.keys.code(link)})
