"""The canary: no token, no code and no password may stand anywhere in the database, in a log or on a page."""

from collections.abc import Iterable

from flask import Flask
from sqlalchemy import select

from kmzportal.db import db
from kmzportal.models.account_link import AccountLink
from kmzportal.models.clerk import Clerk
from kmzportal.services.second_factor import SecondFactor
from kmzportal.services.transaction import link_keys
from tests import people

SECRETS = (*people.PASSWORDS.values(), people.NEW_PASSWORD, people.OTHER_PASSWORD)


def check(app: Flask, *secrets: str) -> None:
    """Fail if a dump of all tables holds one of `secrets`, a password of the cast, or a link's token or code."""
    with app.app_context():
        text = dump()
        found = [secret for secret in (*SECRETS, *secrets, *tokens_and_codes()) if contains_secret(secret, text)]
    assert not found, f"stands in the database: {found}"


def dump() -> str:
    """Return every value of every table, a line a row."""
    with db.engine.connect() as connection:
        tables = db.metadata.sorted_tables
        return "\n".join(f"{table.name} {tuple(row)}" for table in tables for row in connection.execute(select(table)))


def everything(but: Iterable[str] = ("last_seen",)) -> Iterable[str]:
    """Return all rows of all tables, but for what a GET may write."""
    with db.engine.connect() as connection:
        for table in db.metadata.sorted_tables:
            columns = [column for column in table.columns if column.name not in but]
            yield from sorted(str(tuple(row)) for row in connection.execute(select(*columns)))


def tokens_and_codes() -> Iterable[str]:
    """Return what was mailed for every link, and what every clerk's app and paper hold, as only the key can tell."""
    keys = link_keys()
    for link in db.session.scalars(select(AccountLink)):
        yield keys.token(link)
        yield keys.code(link)
    for nonce in db.session.scalars(select(Clerk.factor_nonce).where(Clerk.factor_nonce.is_not(None))):
        yield SecondFactor(keys, nonce or "").secret
        yield from SecondFactor(keys, nonce or "").recovery_codes


def contains_secret(secret: str, text: str) -> bool:
    """Whether the secret can be read in the text, grouped or not, in capitals or not."""
    folded = text.casefold()
    return any(form.casefold() in folded for form in (secret, secret.replace("-", "")))
