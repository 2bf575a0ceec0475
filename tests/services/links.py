"""Links as the deeds leave them, and the deed that uses one up."""

from sqlalchemy import select

from kmzportal.models.account_link import AccountLink
from kmzportal.services import accounts
from kmzportal.services.passwords import hash_password
from tests import people


def set_password(backend, link, arrived=people.NOW):
    backend.run(accounts.set_password_by_link, link, arrived, hash_password(people.NEW_PASSWORD))


def links(backend):
    return backend.read(select(AccountLink).order_by(AccountLink.id))


def open_links(backend):
    return [link.id for link in links(backend) if link.ended_at is None]


def newest(backend, *kinds):
    return [link for link in links(backend) if link.kind in kinds or not kinds][-1]


def link_of(backend, template):
    (link,) = backend.read(select(AccountLink).where(AccountLink.id == backend.mails(template)[-1].link_id))
    return link
