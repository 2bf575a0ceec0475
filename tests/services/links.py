"""Links as the deeds leave them, and the deed that uses one up."""

from sqlalchemy import select

from kmzportal.domain.account_link import AccountLink
from kmzportal.domain.passwords import hash_password
from kmzportal.services import password
from tests import cast


def set_password(deeds, link, arrived=cast.NOW):
    deeds.do(password.set_by_link, link, arrived, hash_password(cast.NEW_PASSWORD))


def open_links(deeds):
    still_open = select(AccountLink).where(AccountLink.ended_at.is_(None)).order_by(AccountLink.id)
    return [link.id for link in deeds.read(still_open)]


def newest(deeds, *kinds):
    links = deeds.read(select(AccountLink).order_by(AccountLink.id))
    return [link for link in links if link.kind in kinds or not kinds][-1]
