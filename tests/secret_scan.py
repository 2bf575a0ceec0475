"""Searches the database and other texts for tokens, codes and passwords, which must not be stored anywhere."""

from collections.abc import Iterable

from flask import Flask
from sqlalchemy import select

from kmzportal.db import db
from kmzportal.models import AccountLink, Clerk
from kmzportal.services.second_factor import SecondFactor
from kmzportal.services.transaction import factor_keys, link_keys
from tests import people

SECRETS = (*people.PASSWORDS.values(), people.NEW_PASSWORD, people.OTHER_PASSWORD)


def check(app: Flask, *secrets: str) -> None:
    """Fail if a dump of all tables has one of `secrets`, a sample password, or the token or code of a link."""
    with app.app_context():
        text = dump()
        found = [secret for secret in (*SECRETS, *secrets, *tokens_and_codes()) if contains_secret(secret, text)]
    assert not found, f"stored in the database: {found}"


def dump() -> str:
    """Return all tables as text, one row per line."""
    with db.engine.connect() as connection:
        tables = db.metadata.sorted_tables
        return "\n".join(f"{table.name} {tuple(row)}" for table in tables for row in connection.execute(select(table)))


def everything(but: Iterable[str] = ("last_seen",)) -> Iterable[str]:
    """Yield all rows of all tables, without the columns that a GET may write."""
    with db.engine.connect() as connection:
        for table in db.metadata.sorted_tables:
            columns = [column for column in table.columns if column.name not in but]
            yield from sorted(str(tuple(row)) for row in connection.execute(select(*columns)))


def tokens_and_codes() -> Iterable[str]:
    """Yield the tokens and codes of all links and the second factors of all clerks, derived with the key."""
    keys = link_keys()
    for link in db.session.scalars(select(AccountLink)):
        yield keys.token(link)
        yield keys.code(link)
        yield keys.letter_code(link)
    for clerk in db.session.scalars(select(Clerk).where(Clerk.factor_nonce.is_not(None))):
        factor = SecondFactor(factor_keys(), clerk.factor_nonce or "", clerk.recovery_nonce)
        yield factor.secret
        yield from factor.recovery_codes


def contains_secret(secret: str, text: str) -> bool:
    """Return whether the text has the secret, with or without its hyphens, in any case."""
    folded = text.casefold()
    return any(form.casefold() in folded for form in (secret, secret.replace("-", "")))
