"""What the domain of a mail address tells the desk: anybody can have one there, or it was mistyped."""

from kmzportal.domain.customer_search import one_letter_off

#: Providers at which anybody gets an address under any name.
PROVIDERS = """
aol.com aol.de arcor.de email.de freenet.de gmail.com gmx.at gmx.ch gmx.com gmx.de gmx.net googlemail.com hotmail.com
hotmail.de icloud.com live.de mail.com mail.de mailbox.org me.com msn.com outlook.com outlook.de posteo.de proton.me
protonmail.com t-online.de web.de yahoo.com yahoo.de
"""
FREE_MAIL = frozenset(PROVIDERS.split())


def domain_of(address: str) -> str:
    return address.rpartition("@")[2].casefold()


def is_free_mail(address: str) -> bool:
    return domain_of(address) in FREE_MAIL


def probably_meant(address: str) -> str | None:
    """Return the address with the well-known domain that is one letter off, or None."""
    local, _, domain = address.rpartition("@")
    near = sorted(known for known in FREE_MAIL if one_letter_off(domain.casefold(), known))
    return f"{local}@{near[0]}" if near and domain.casefold() not in FREE_MAIL else None
