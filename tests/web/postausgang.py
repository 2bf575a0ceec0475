"""The desk's page of mails."""

PAGE = "/kundenservice/postausgang"


def row(desk):
    """Return the words of the only mail on the page."""
    [words] = ["".join(one.itertext()) for one in desk.page.iter("tr") if one.get("id", "").startswith("mail-")]
    return " ".join(words.split())
