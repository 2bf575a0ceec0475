"""Links as the deeds leave them, and the deed that uses one up."""

from sqlalchemy import select

from kmzportal.domain.account_link import AccountLink
from kmzportal.domain.passwords import hash_password
from kmzportal.services import password
from tests import cast


def set_password(deeds, link, arrived=cast.NOW):
    deeds.do(password.set_by_link, link, arrived, hash_password(cast.NEW_PASSWORD))


def links(deeds):
    return deeds.read(select(AccountLink).order_by(AccountLink.id))


def open_links(deeds):
    return [link.id for link in links(deeds) if link.ended_at is None]


def newest(deeds, *kinds):
    return [link for link in links(deeds) if link.kind in kinds or not kinds][-1]


def link_of(deeds, template):
    (link,) = deeds.read(select(AccountLink).where(AccountLink.id == deeds.mails(template)[-1].link_id))
    return link
