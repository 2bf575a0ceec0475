"""Backup, restore and the fingerprints of the keys, as an operator meets them."""

import io
import json
import os
import re
import shutil
import sqlite3
import stat
import tarfile
import threading
import time
import tomllib
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copytree

import pytest
from click.testing import CliRunner
from sqlalchemy import create_engine, delete, make_url, select, text

from kmzportal import create_app
from kmzportal.cli import cli
from kmzportal.db import NEWEST_VERSION, close, db
from kmzportal.models import (
    AccountLink,
    AddressProposal,
    AuditEvent,
    Clerk,
    Customer,
    DeletedCustomer,
    Heartbeat,
    LinkKind,
    LoginSession,
    OutgoingMail,
    Passkey,
)
from kmzportal.server import sample_people, worker
from kmzportal.services import accounts, audit_chain, backup, clerks, deletion, desk, links, postgres_tools, restore
from kmzportal.services.second_factor import SecondFactor
from kmzportal.services.transaction import factor_keys, transaction
from kmzportal.settings import KEYS
from tests import people, secret_scan
from tests.backend import Backend
from tests.browser import Browser

LOGIN, FIELD = "/kundenservice/anmelden", "Code aus der App"
CONFIG = """PUBLIC_URL = "https://konto.kmz.example"
PROXY_HOPS = 1
OFFICE_PHONE = "07051 1234"
CLOSING_DAYS = ["2026-12-24"]
MAIL_USERNAME = "kmz"
MAIL_PASSWORD = "postfach geheim"
# MAIL_PASSWORD = "postfach frueher"
LINK_KEY_FALLBACKS = [
  "an older link key of many characters",
]
"""


class Office:
    """One machine with an instance, its operator at the console."""

    def __init__(self, folder, monkeypatch, uri=""):
        self.instance, self.uri = folder / "instance", uri
        monkeypatch.setenv("KMZPORTAL_INSTANCE_PATH", str(self.instance))
        monkeypatch.chdir(folder)
        os.umask(0o077)  # as the console script does
        self.folder = folder

    def run(self, *words, answer=None):
        result = CliRunner().invoke(cli, [str(word) for word in words], input=answer)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    def __call__(self, *words):
        """Run a command that works, and return its output."""
        result = self.run(*words)
        assert result.exit_code == 0, result.output
        return result.output

    def refuses(self, *words, answer=None):
        """Run a command that does not work, and return why in one line."""
        result = self.run(*words, answer=answer)
        assert result.exit_code in (1, 2), result.output
        assert "Traceback" not in result.output
        return "".join(line for line in result.stderr.splitlines(True) if not line.startswith("Ordner des Portals"))

    @contextmanager
    def app(self):
        app = create_app(instance=self.instance)
        with app.app_context():
            try:
                yield app
            finally:
                close()

    def set_up(self):
        self.instance.mkdir(mode=0o700)
        self.write_config()
        (self.instance / "pages").mkdir()
        (self.instance / "pages" / "hilfe.md").write_text("# Unsere Hilfe")
        self("db", "upgrade")
        with self.app() as app, transaction("console") as tx:
            sample_people.enter(tx)
        with self.app() as app:
            Backend(app).add_second_factor(db.session.scalar(select(Clerk).where(Clerk.initials == "ro")))
        self("keys", "accept")
        return self

    def write_config(self):
        uri = f'SQLALCHEMY_DATABASE_URI = "{self.uri}"\n' if self.uri else ""
        (self.instance / "config.toml").write_text(CONFIG + uri)

    def lose_everything(self):
        self.instance.rename(self.folder / f"lost-{time.monotonic_ns()}")
        if self.uri:
            recreate(self.uri)

    def totp(self):
        """Return the code that Rosa's telephone shows now, with the keys that this machine has now."""
        with self.app():
            return Backend.totp_code(SecondFactor(factor_keys(), "nonce of ro").secret)

    def logs_in(self, code):
        """Log Rosa in through the web and return the path of the page that she gets."""
        with self.app() as app:
            browser = Browser(app)
            browser.log_in(people.person(people.ROSA), path=LOGIN)
            return browser.submit("Weiter", {FIELD: code}).path


def recreate(uri, template="template1"):
    name = make_url(uri).database
    engine = create_engine(make_url(uri).set(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    engine.dispose()


@pytest.fixture(scope="session")
def first_office(tmp_path_factory):
    """An office that the others are copied from."""
    with pytest.MonkeyPatch.context() as patch:
        return Office(tmp_path_factory.mktemp("office"), patch).set_up()


@pytest.fixture(scope="session")
def first_office_on_postgresql(tmp_path_factory, postgres_uri):
    uri = make_url(postgres_uri).set(database="first_office", password="datenbank geheim")
    uri = uri.render_as_string(hide_password=False)
    recreate(uri)
    with pytest.MonkeyPatch.context() as patch:
        return Office(tmp_path_factory.mktemp("office"), patch, uri).set_up()


@pytest.fixture
def office(tmp_path, monkeypatch, first_office):
    copytree(first_office.instance, tmp_path / "instance")
    return Office(tmp_path, monkeypatch)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.trial)])
def either(request, tmp_path, monkeypatch):
    """An office on each of the two databases."""
    if request.param == "sqlite":
        return request.getfixturevalue("office")
    first = request.getfixturevalue("first_office_on_postgresql")
    office = Office(tmp_path, monkeypatch, first.uri.replace("first_office", "office"))
    recreate(office.uri, "first_office")
    copytree(first.instance, office.instance)
    office.write_config()
    return office


@pytest.fixture
def saved(office):
    """An office with a backup and its keys."""
    office("backup", "portal.tar.gz", "--keys", "portal.keys")
    return office


def everybody():
    return [tuple(row) for row in db.session.execute(select(Customer.number, Customer.email, Customer.password_hash))]


# Round trips


def test_after_a_loss_backup_and_keys_bring_everybody_back_with_second_factor_and_settings(either):
    code_before = either.totp()
    output = either("backup", "portal.tar.gz", "--keys", "portal.keys")
    assert "Gesichert und geprüft: portal.tar.gz" in output
    with either.app() as app:
        before, keys = everybody(), {name: app.config[name] for name in (*KEYS, "MAIL_PASSWORD")}
    either.lose_everything()
    output = either("restore", "portal.tar.gz", "--keys", "portal.keys", "--yes")
    assert "Die Datenbank ist noch leer." in output
    assert "zweite Faktor" not in output
    with either.app() as app:
        assert everybody() == before
        assert len(before) == 5
        assert {name: app.config[name] for name in keys} == keys
        assert app.config["LINK_KEY_FALLBACKS"] == ["an older link key of many characters"]
        assert app.config["OFFICE_PHONE"] == "07051 1234"
        assert db.session.scalar(select(AuditEvent).where(AuditEvent.action == "backup.restored")).remark
    assert either.logs_in(code_before) == "/kundenservice/kunden"
    assert (either.instance / "pages" / "hilfe.md").read_text() == "# Unsere Hilfe"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in either.instance.iterdir() if path.is_file()}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(either.instance.stat().st_mode) == 0o700


def test_the_audit_trail_is_whole_after_a_restore_and_without_its_key_begins_anew(either):
    with either.app():
        worker.chain_events()
    either("backup", "portal.tar.gz", "--keys", "portal.keys")
    with either.app(), transaction("console") as tx:
        tx.record("logout")
    with either.app():
        worker.chain_events()
    end = either("audit", "verify").split()[-1]
    either("restore", "portal.tar.gz", "--keys", "portal.keys", "--yes")
    with either.app() as app:
        worker.chain_events()
        whole = audit_chain.verify(db.session(), app.config)
    assert (whole.fault, whole.waiting, whole.number > 1) == (None, 0, True)
    assert "endete schon einmal" in either.run("audit", "verify", "--known", end).stdout
    (either.instance / "audit_key").unlink()
    either("restore", "portal.tar.gz", "--yes")
    with either.app() as app:
        worker.chain_events()
        anew = audit_chain.verify(db.session(), app.config)
    assert (anew.fault, anew.number) == (None, 1)


def test_without_the_keys_it_says_who_needs_a_new_second_factor_and_goes_on(either):
    either("backup", "portal.tar.gz")
    either.lose_everything()
    either.instance.mkdir()
    either.write_config()  # passwords of mail server and database are not in the backup
    output = either("restore", "portal.tar.gz", "--yes")
    assert "kmzportal clerks link" in output
    assert "Rosa Otto <rosa.otto@kmz.example>" in output
    assert "Tim" not in output  # has no second factor
    assert "/link/" in either("clerks", "link", people.ROSA["email"], "--print-link")
    assert either.logs_in("123456") == "/kundenservice/zweiter-faktor"


def test_a_restore_ends_sessions_links_and_their_mails_but_not_the_objection(either):
    with either.app(), transaction("console") as tx:
        max_ = tx.session.scalar(select(Customer).where(Customer.number == people.MAX["number"]))
        for kind in (LinkKind.RECOVERY, LinkKind.ADDRESS, LinkKind.OBJECTION):
            link = links.issue(tx, kind, max_)
            tx.send("recovery_link", max_, link=link)
        replaced = links.issue(tx, LinkKind.DESK, max_).id
        links.issue(tx, LinkKind.DESK, max_)
    with either.app() as app:
        Browser(app).log_in(people.person(people.ERIKA))
    either("backup", "portal.tar.gz")
    either("restore", "portal.tar.gz", "--yes")
    with either.app():
        assert db.session.get(AccountLink, replaced).ended_as == "withdrawn", "or its holder could renew it"
        still_open = db.session.scalars(select(AccountLink.kind).where(AccountLink.ended_at.is_(None))).all()
        assert set(still_open) == {LinkKind.OBJECTION}
        assert db.session.scalars(select(LoginSession).where(LoginSession.ended_at.is_(None))).all() == []
        mails = db.session.scalars(select(OutgoingMail).where(OutgoingMail.link_id.is_not(None))).all()
        assert {mail.state for mail in mails if mail.link.kind != LinkKind.OBJECTION} == {"cancelled"}
        assert {mail.state for mail in mails if mail.link.kind == LinkKind.OBJECTION} == {"queued"}


def test_after_the_restore_of_an_old_backup_the_clock_is_believed(office):
    with office.app(), transaction("console") as tx:
        tx.session.add(Heartbeat(loop="purge", beat_at=tx.now - timedelta(days=9)))
    office("backup", "portal.tar.gz")
    assert "kmzportal purge --clock-is-right" in office.refuses("purge")
    office("restore", "portal.tar.gz", "--yes")
    office("purge")


def test_who_was_deleted_since_the_backup_is_deleted_again_without_a_second_mail(either):
    either("backup", "portal.tar.gz")
    with either.app(), transaction("clerk:1", initials="ro") as tx:
        erika = tx.session.scalar(select(Customer).where(Customer.number == people.ERIKA["number"]))
        deletion.delete_customer(tx, erika, erika.version, "Wunsch", loans_open=False)
    with either.app():
        deleted_at = db.session.scalar(select(DeletedCustomer.deleted_at))
    output = either("restore", "portal.tar.gz", "--yes")
    assert "Konten: 5" in output
    assert "Konten: 4" in output
    assert "Wieder gelöscht, weil seit der Sicherung gelöscht: 1" in output
    with either.app():
        assert people.ERIKA["number"] not in {row[0] for row in everybody()}
        assert db.session.scalars(select(DeletedCustomer.deleted_at)).all() == [deleted_at]
        mails = db.session.scalars(select(OutgoingMail).where(OutgoingMail.template == "account_deleted")).all()
        assert mails == []


def test_who_was_locked_or_left_since_the_backup_does_not_come_back(either):
    """The backup holds address and password of an intruder, against whom the owners have objected since."""
    with either.app(), transaction("console") as tx:
        for row in (people.ERIKA, people.MAX):
            customer = tx.session.scalar(Customer.with_number(row["number"]))
            customer.set_pending_email(f"dieb-{row['number']}@schule.example")
            accounts.move_email(tx, customer)
            customer.set_password_hash("of the intruder", tx.now)
        for initials in ("ab", "cd"):
            clerks.add(tx, f"{initials}@kmz.example", "Kim Muster", initials, admin=True)
    either("backup", "portal.tar.gz")
    with either.app(), transaction("console") as tx:
        moved = (
            AccountLink.kind == LinkKind.OBJECTION,
            AccountLink.email.in_([people.ERIKA["email"], people.MAX["email"]]),
        )
        for objection in tx.session.scalars(select(AccountLink).where(*moved)).all():
            accounts.object_to_change(tx, objection, tx.now)
        mended = tx.session.scalar(Customer.with_number(people.MAX["number"]))
        desk.correct_address(tx, mended, mended.version, people.MAX["email"], "in_person", "")
        desk.unlock(tx, mended, "geklärt")
        by = {clerk.initials: clerk for clerk in clerks.all_clerks(tx.session)}
        clerks.change(tx, by["cd"], by["ab"], "Kim Muster", "cd", admin=False)
        clerks.lock(tx, by["tb"], by["ab"])
        clerks.leave(tx, by["ro"], by["ab"])
    assert "weil das seit der Sicherung so war: 5" in either("restore", "portal.tar.gz", "--yes")
    with either.app():
        for row in (people.ERIKA, people.MAX):
            customer = db.session.scalar(Customer.with_number(row["number"]))
            assert customer.locked_at
            assert (customer.password_hash, customer.objection) == (None, "open")
        by = {clerk.initials: clerk for clerk in clerks.all_clerks(db.session())}
        assert by["ro"].left_at
        assert (by["ro"].password_hash, by["ro"].factor_nonce) == (None, None)
        assert by["tb"].locked_at
        assert (by["ab"].admin, by["cd"].admin) == (True, False)


@contextmanager
def killed_in(where):
    """Within it a restore ends at this step as if it was killed: before it, or after the database was replaced."""
    original = getattr(restore, where)

    def killed(*arguments, **options):
        if where == "replace_database":
            original(*arguments, **options)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restore, where, killed)
        yield


def interrupt(office, where, *words):
    with killed_in(where):
        assert office.run("restore", *words, "--yes").exit_code == 1


def keys_of(office):
    return {name: (office.instance / name.lower()).read_text() for name in KEYS}


def change_keys(office):
    for name in KEYS:
        (office.instance / name.lower()).write_text(f"another {name} of many characters")
    office("keys", "accept")


@pytest.mark.parametrize("where", ["replace_files", "replace_database", "settle"])
def test_a_restore_that_was_interrupted_is_repeated_against_what_it_replaced(either, where):
    """Else the second one would compare the backup with itself, and whoever was locked since would be back."""
    either("backup", "portal.tar.gz")
    with either.app(), transaction("console") as tx:
        desk.lock(tx, customer(people.ERIKA), "Verdacht")
    interrupt(either, where, "portal.tar.gz")
    assert "Wiederholen Sie es: kmzportal restore" in either.refuses("work")
    assert "Wiederholen Sie es: kmzportal restore" in either.refuses("purge")
    assert "weil das seit der Sicherung so war: 1" in either("restore", "portal.tar.gz", "--yes")
    with either.app():
        assert customer(people.ERIKA).locked_at
    assert not (either.instance / "restore.pending").exists()


def test_a_repeated_restore_brings_back_no_keys_that_an_earlier_one_replaced(either):
    """With the keys of then no hash of a deleted customer and no second factor would be recognised."""
    either("backup", "old.tar.gz", "--keys", "old.keys")
    change_keys(either)
    either("restore", "old.tar.gz", "--keys", "old.keys", "--yes")
    today = keys_of(either)
    either("backup", "portal.tar.gz")
    with either.app(), transaction("console") as tx:
        deletion.delete_customer(tx, customer(people.MAX), customer(people.MAX).version, "Wunsch", loans_open=False)
    interrupt(either, "replace_database", "portal.tar.gz")
    output = either("restore", "portal.tar.gz", "--yes")
    assert keys_of(either) == today
    assert "Wieder gelöscht, weil seit der Sicherung gelöscht: 1" in output
    assert "clerks link" not in output


@pytest.mark.parametrize("number", range(len(KEYS)))
def test_keys_that_an_interrupted_restore_replaced_come_back_wherever_it_ended(office, monkeypatch, number):
    office("backup", "old.tar.gz", "--keys", "old.keys")
    change_keys(office)
    today = keys_of(office)
    write, written = backup.write_private, []

    def killed(path, text):
        if path.name in map(str.lower, KEYS):
            if len(written) == number:
                raise KeyboardInterrupt
            written.append(path)
        write(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(backup, "write_private", killed)
        assert office.run("restore", "old.tar.gz", "--keys", "old.keys", "--yes").exit_code == 1
    office.refuses("restore", "old.tar.gz", "--keys", "old.keys", answer="nein\n")
    assert keys_of(office) == today


@pytest.mark.parametrize("where", ["replace_files", "replace_database", "settle"])
def test_who_declines_to_repeat_a_restore_has_back_what_was_there_before(either, where):
    either("backup", "portal.tar.gz", "--keys", "portal.keys")
    change_keys(either)
    today = keys_of(either)
    with either.app(), transaction("console") as tx:
        desk.lock(tx, customer(people.ERIKA), "Verdacht")
    interrupt(either, where, "portal.tar.gz", "--keys", "portal.keys")
    refusal = either.refuses("restore", "portal.tar.gz", "--keys", "portal.keys", answer="nein\n")
    assert "Datenbank und Schlüssel sind wieder wie vor dem unterbrochenen Einspielen." in refusal
    assert not (either.instance / "restore.pending").exists()
    assert keys_of(either) == today
    with either.app():
        assert customer(people.ERIKA).locked_at


@pytest.mark.parametrize("before", [b"not a database" * 20_000, b""])
def test_who_declines_to_repeat_a_restore_that_replaced_no_whole_database_still_has_to(saved, before):
    """However often it was interrupted: what is there is the backup, with its sessions and whoever lost access."""
    (saved.instance / "kmzportal.db").write_bytes(before)
    for _ in range(2):
        interrupt(saved, "settle", "portal.tar.gz")
    assert "Wiederholen Sie es: kmzportal restore" in saved.refuses("restore", "portal.tar.gz", answer="nein\n")
    assert "Wiederholen Sie es: kmzportal restore" in saved.refuses("work")


def test_a_restore_keeps_the_file_that_it_restores_and_what_it_replaces(office, monkeypatch):
    """However few are to be kept, and although the backup before its migration is made as well."""
    monkeypatch.setenv("KMZPORTAL_BACKUP_KEEP", "1")
    with office.app(), db.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0022'"))
        connection.execute(text("DROP INDEX ix_source_failure_recent"))
    office("backup")
    (oldest,) = (office.instance / "backups").iterdir()
    with office.app(), transaction("console") as tx:
        desk.lock(tx, customer(people.ERIKA), "Verdacht")
    interrupt(office, "settle", oldest)
    assert len(list((office.instance / "backups").iterdir())) == 3
    for words in ((), ("portal.tar.gz",)):
        assert "Wiederholen Sie es: kmzportal restore" in office.refuses("backup", *words)
    assert "weil das seit der Sicherung so war: 1" in office("restore", oldest, "--yes")
    assert oldest.exists()
    office("backup")
    assert len(list((office.instance / "backups").iterdir())) == 1


@pytest.mark.parametrize("where", ["replace_files", "settle"])
def test_an_interrupted_way_back_to_the_older_version_can_be_repeated(either, where):
    either("backup", "portal.tar.gz")
    with either.app(), db.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    interrupt(either, where, "portal.tar.gz")
    either("restore", "portal.tar.gz", "--yes")
    assert "/link/" in either(*KIM)


def test_pages_that_belong_to_somebody_else_stop_a_restore_before_anything_is_replaced(office, monkeypatch):
    office("backup", "portal.tar.gz")

    def refuse(*_args, **_options):
        raise shutil.Error([("a", "b", "Permission denied")])

    with monkeypatch.context() as patch:
        patch.setattr(restore, "copytree", refuse)
        assert "Sie müssen dem Portal gehören." in office.refuses("restore", "portal.tar.gz", "--yes")
    office("restore", "portal.tar.gz", "--yes")


def customer(person):
    return db.session.scalar(Customer.with_number(person["number"]))


def objection_to(tx, address):
    found = select(AccountLink).where(AccountLink.kind == LinkKind.OBJECTION, AccountLink.email == address)
    return tx.session.scalars(found.order_by(AccountLink.issued_at.desc())).first()


def test_an_objection_since_the_backup_counts_also_for_who_was_locked_in_it(either):
    """The desk locked on suspicion, and the owner objects after the backup: it holds the intruder's password."""
    with either.app(), transaction("console") as tx:
        erika = customer(people.ERIKA)
        erika.set_pending_email("dieb@web.de")
        accounts.move_email(tx, erika)
        erika.set_password_hash("of the intruder", tx.now)
        desk.lock(tx, erika, "Verdacht")
    either("backup", "portal.tar.gz")
    with either.app(), transaction("console") as tx:
        accounts.object_to_change(tx, objection_to(tx, people.ERIKA["email"]), tx.now)
    assert "weil das seit der Sicherung so war: 1" in either("restore", "portal.tar.gz", "--yes")
    with either.app(), transaction("console") as tx:
        assert customer(people.ERIKA).password_hash is None
        with pytest.raises(desk.ObjectionOpen):
            desk.unlock(tx, customer(people.ERIKA), "Anruf")


def test_an_objection_that_was_settled_since_the_backup_locks_again(either):
    with either.app(), transaction("console") as tx:
        accounts.notify_old_address(tx, customer(people.ERIKA), people.ERIKA["email"], "letter_printed")
    either("backup", "portal.tar.gz")
    with either.app(), transaction("console") as tx:
        accounts.object_to_change(tx, objection_to(tx, people.ERIKA["email"]), tx.now)
        desk.unlock(tx, customer(people.ERIKA), "geklärt", "callback")
        customer(people.ERIKA).objection = None  # as after one more change of the address
    either("restore", "portal.tar.gz", "--yes")
    with either.app():
        erika = customer(people.ERIKA)
        assert (bool(erika.locked_at), erika.objection, erika.password_hash) == (True, "open", None)


def test_who_was_only_locked_by_the_desk_is_locked_again_and_no_more(either):
    either("backup", "portal.tar.gz")
    with either.app(), transaction("console") as tx:
        before = customer(people.ERIKA).password_hash
        desk.lock(tx, customer(people.ERIKA), "Umzug")
    either("restore", "portal.tar.gz", "--yes")
    with either.app():
        erika = customer(people.ERIKA)
        assert (bool(erika.locked_at), erika.objection, erika.password_hash) == (True, None, before)


def test_an_intruder_who_was_reported_since_the_backup_is_told_at_the_unlocking(either):
    """Also where an objection of long ago was settled in both."""
    with either.app(), transaction("console") as tx:
        customer(people.ERIKA).objection = "settled"
    either("backup", "portal.tar.gz")
    with either.app(), transaction("console") as tx:
        desk.lock(tx, customer(people.ERIKA), "Anruf", True)
    either("restore", "portal.tar.gz", "--yes")
    with either.app(), transaction("console") as tx, pytest.raises(desk.ObjectionOpen):
        desk.unlock(tx, customer(people.ERIKA), "Anruf")


def test_an_intruder_against_whom_the_desk_helped_since_the_backup_does_not_come_back(either):
    """The backup holds the intruder's address, and the report was settled by a corrected one."""
    with either.app(), transaction("console") as tx:
        erika = customer(people.ERIKA)
        erika.set_pending_email("dieb@web.de")
        accounts.move_email(tx, erika)
    either("backup", "portal.tar.gz")
    with either.app(), transaction("console") as tx:
        erika = customer(people.ERIKA)
        desk.lock(tx, erika, "Anruf", True)
        desk.correct_address(tx, erika, erika.version, people.ERIKA["email"], "callback", "")
        desk.unlock(tx, erika, "geprüft", "callback")
    either("restore", "portal.tar.gz", "--yes")
    with either.app(), transaction("console") as tx:
        assert customer(people.ERIKA).locked_at
        with pytest.raises(desk.ObjectionOpen):
            desk.unlock(tx, customer(people.ERIKA), "Anruf")


def test_a_password_that_was_replaced_or_deleted_since_the_backup_does_not_come_back(either):
    either("backup", "portal.tar.gz")
    with either.app(), transaction("console") as tx:
        accounts.set_password(tx, customer(people.ERIKA), "a new one")
        customer(people.MAX).password_hash = None
    with either.app():
        kept = {row[0] for row in everybody() if row[2]} - {people.ERIKA["number"]}
    assert "(„Passwort vergessen?“): 2" in either("restore", "portal.tar.gz", "--yes")
    with either.app():
        assert {row[0] for row in everybody() if row[2]} == kept
        assert customer(people.ERIKA).locked_at is None


def add_passkey(holder, credential_id, **different):
    owner = {"clerk": holder} if isinstance(holder, Clerk) else {"customer": holder}
    row = {
        "public_key": "k",
        "user_handle": holder.email,
        "host": "konto.kmz.example",
        "sign_count": 0,
        "name": "Handy",
    }
    row |= {"credential_id": credential_id, "created_at": datetime.now(UTC)}
    db.session.add(Passkey(**(row | different), **owner))


def test_passkeys_that_were_removed_since_the_backup_do_not_come_back(either):
    with either.app(), transaction("console") as tx:
        for credential_id in ("lost", "kept"):
            add_passkey(customer(people.ERIKA), credential_id)
    either("backup", "portal.tar.gz")
    with either.app(), transaction("console") as tx:
        tx.session.execute(delete(Passkey).where(Passkey.credential_id == "lost"))
    either("restore", "portal.tar.gz", "--yes")
    with either.app():
        assert db.session.scalars(select(Passkey.credential_id)).all() == ["kept"]
        assert customer(people.ERIKA).password_hash


@pytest.mark.parametrize(("holder", "key"), [(people.MAX, "k"), (people.ERIKA, "another")])
def test_a_removed_passkey_does_not_come_back_because_another_one_has_its_id_by_now(office, holder, key):
    """The device chooses the id: whoever lost a passkey could register it again for an account of their own."""
    with office.app(), transaction("console"):
        add_passkey(customer(people.ERIKA), "lost")
    office("backup", "portal.tar.gz")
    with office.app(), transaction("console") as tx:
        tx.session.execute(delete(Passkey))
        add_passkey(customer(holder), "lost", public_key=key)
    office("restore", "portal.tar.gz", "--yes")
    with office.app():
        assert db.session.scalars(select(Passkey)).all() == []


def test_a_proposed_address_does_not_come_back(office):
    """Another clerk may have refused it since."""
    with office.app(), transaction("console") as tx:
        proposed = {"proposed_at": tx.now, "email": "dieb@web.de", "check": "callback", "note": ""}
        erika, tim = customer(people.ERIKA), clerk_named("tb")
        tx.session.add(AddressProposal(customer=erika, clerk=tim, **proposed))
    office("backup", "portal.tar.gz")
    office("restore", "portal.tar.gz", "--yes")
    with office.app():
        assert db.session.scalars(select(AddressProposal)).all() == []


def clerk_named(initials):
    return db.session.scalar(select(Clerk).where(Clerk.initials == initials))


def new_password(tx, clerk):
    accounts.set_password(tx, clerk, "a new one")


def new_app(tx, clerk):
    clerk.factor_nonce = "of a new telephone"


def no_passkey(tx, clerk):
    tx.session.execute(delete(Passkey))


@pytest.mark.parametrize(("change", "initials"), [(new_password, "tb"), (new_app, "ro"), (no_passkey, "tb")])
def test_a_clerk_whose_password_or_factor_was_replaced_since_the_backup_gets_a_new_first_link(office, change, initials):
    with office.app(), transaction("console") as tx:
        add_passkey(clerk_named("tb"), "of tb")
    office("backup", "portal.tar.gz")
    with office.app(), transaction("console") as tx:
        change(tx, clerk_named(initials))
    output = office("restore", "portal.tar.gz", "--yes")
    named = output.partition("Es brauchen einen neuen ersten Link (kmzportal clerks link ADRESSE):")[2]
    with office.app():
        clerk = clerk_named(initials)
        assert re.findall(r"<(.+)>", named) == [clerk.email]
        assert clerk.password_hash is None
        assert (clerk.factor_nonce is None) is (change is not new_password or initials == "tb")
        assert clerk_named({"ro": "tb", "tb": "ro"}[initials]).password_hash


@pytest.mark.parametrize("has_app", [True, False])
def test_a_clerk_whose_first_factor_is_a_passkey_added_since_the_backup_gets_a_new_first_link(office, has_app):
    """Where the second factor is only offered, the password of the backup alone would open the desk."""
    initials = "ro" if has_app else "tb"
    office("backup", "portal.tar.gz")
    with office.app(), transaction("console"):
        add_passkey(clerk_named(initials), "new")
    named = "Es brauchen einen neuen ersten Link" in office("restore", "portal.tar.gz", "--yes")
    with office.app():
        assert (named, bool(clerk_named(initials).password_hash)) == (not has_app, has_app)


def test_recovery_codes_that_were_used_or_replaced_since_the_backup_do_not_come_back(office):
    office("backup", "portal.tar.gz")
    for used, nonce, stay in ([3], None, [3]), ([], "of new codes", list(range(10))):
        with office.app(), transaction("console"):
            rosa = clerk_named("ro")
            rosa.recovery_codes_used, rosa.recovery_nonce = used, nonce
        office("restore", "portal.tar.gz", "--yes")
        with office.app():
            assert clerk_named("ro").recovery_codes_used == stay
            assert clerk_named("ro").password_hash


def as_newer(connection):
    connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    connection.execute(text("ALTER TABLE customer ADD COLUMN of_the_newer_version VARCHAR"))


def as_older(connection):
    connection.execute(text("UPDATE alembic_version SET version_num = '0020'"))
    connection.execute(text("DROP TABLE passkey"))
    connection.execute(text("ALTER TABLE customer DROP COLUMN objection"))


@pytest.mark.parametrize("of_another_version", [as_newer, as_older])
def test_what_was_lost_since_is_read_from_a_database_of_another_version(either, of_another_version):
    either("backup", "portal.tar.gz")
    with either.app(), transaction("console") as tx:
        desk.lock(tx, customer(people.ERIKA), "Konto übernommen")
        accounts.set_password(tx, customer(people.MAX), "a new one")
        clerks.leave(tx, clerk_named("tb"), clerk_named("ro"))
    with either.app(), db.engine.begin() as connection:
        of_another_version(connection)
    output = either("restore", "portal.tar.gz", "--yes")
    assert "weil das seit der Sicherung so war: 2" in output
    assert "nicht zu lesen" not in output
    with either.app():
        assert customer(people.ERIKA).locked_at
        assert customer(people.MAX).password_hash is None
        assert clerk_named("tb").left_at


def test_it_says_so_when_a_newer_database_does_not_show_who_lost_access(office):
    office("backup", "portal.tar.gz")
    with office.app(), db.engine.begin() as connection:
        as_newer(connection)
        connection.execute(text("ALTER TABLE customer RENAME COLUMN objection TO objections"))
    assert "Sperren Sie diese Personen danach selbst." in office("restore", "portal.tar.gz", "--yes")


def test_what_a_restore_replaces_can_be_brought_back(either):
    either("backup", "portal.tar.gz")
    either("clerks", "add", "kim@kmz.example", "--name", "Kim Muster", "--initials", "km")
    output = either("restore", "portal.tar.gz", "--yes")
    kept = re.search(r"ist gesichert in (\S+)", output)[1]
    with either.app():
        assert db.session.scalar(select(Clerk).where(Clerk.initials == "km")) is None
    either("restore", kept, "--yes")
    with either.app():
        assert db.session.scalar(select(Clerk).where(Clerk.initials == "km"))


# What a backup contains


def test_a_stolen_backup_has_no_key_no_password_and_nothing_that_derives_from_them(either):
    either("backup", "portal.tar.gz", "--keys", "portal.keys")
    with tarfile.open(either.folder / "portal.tar.gz") as archive:
        members = {member.name: archive.extractfile(member).read() for member in archive}
    content = b"\n".join(members.values()).decode("latin-1")
    keys = tomllib.loads((either.folder / "portal.keys").read_text())
    with either.app() as app:
        secrets = [*secret_scan.tokens_and_codes(), *(app.config[name] for name in KEYS)]
    secrets += ["geheim", "frueher", "an older link key", *people.PASSWORDS.values()]
    assert [secret for secret in secrets if secret_scan.contains_secret(secret, content)] == []
    assert keys["MAIL_PASSWORD"] == "postfach geheim"
    assert keys["LINK_KEY_FALLBACKS"] == ["an older link key of many characters"]
    assert ("datenbank geheim" in keys.get("SQLALCHEMY_DATABASE_URI", "")) is bool(either.uri)
    for file in ("portal.tar.gz", "portal.keys"):
        assert stat.S_IMODE((either.folder / file).stat().st_mode) == 0o600
    manifest = json.loads(members["manifest.json"])
    assert set(members) == {"manifest.json", *manifest["members"]} >= {"config.toml", "pages/hilfe.md"}
    assert (manifest["schema"], manifest["rows"]["customer"]) == (NEWEST_VERSION, 5)


def test_other_files_of_the_instance_are_left_out(saved):
    (saved.instance / "smtp_password").write_text("postfach geheim")
    (saved.instance / "pages" / "link").symlink_to(saved.instance / "link_key")
    saved("backup", "again.tar.gz")
    with tarfile.open("again.tar.gz") as archive:
        assert sorted(archive.getnames()) == ["config.toml", "kmzportal.db", "manifest.json", "pages/hilfe.md"]


def test_a_backup_while_the_portal_writes_is_whole(office):
    with closing(sqlite3.connect(office.instance / "kmzportal.db")) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM audit_event")
        office("backup", "portal.tar.gz")
        writer.rollback()
    with tarfile.open("portal.tar.gz") as archive:
        assert json.loads(archive.extractfile("manifest.json").read())["rows"]["audit_event"] > 0


def test_only_so_many_of_our_own_backups_are_kept(office, monkeypatch):
    monkeypatch.setenv("KMZPORTAL_BACKUP_KEEP", "2")
    backups = office.instance / "backups"
    backups.mkdir()
    for name in ("kmzportal-20250101-000000.tar.gz", "kmzportal-20250102-000000.tar.gz", "vor-dem-umzug.tar.gz"):
        (backups / name).touch()
    office("backup")
    left = sorted(path.name for path in backups.iterdir())
    assert len(left) == 3
    assert "kmzportal-20250101-000000.tar.gz" not in left
    assert "vor-dem-umzug.tar.gz" in left
    assert stat.S_IMODE((backups / left[1]).stat().st_mode) == 0o600


def test_a_backup_that_cannot_be_written_is_one_sentence(office):
    office.folder.joinpath("file").touch()
    assert "file/portal.tar.gz kann nicht geschrieben werden" in office.refuses("backup", "file/portal.tar.gz")
    assert list(office.folder.glob(".kmz*")) == []


# Refusals


def changed(file, **facts):
    """Write a copy of the backup with other facts in its manifest."""
    with tarfile.open(file) as archive, tarfile.open("changed.tar.gz", "w:gz") as copy:
        for member in archive:
            content = archive.extractfile(member).read()
            if member.name == "manifest.json":
                content = json.dumps(json.loads(content) | facts).encode()
            member.size = len(content)
            copy.addfile(member, io.BytesIO(content))
    return "changed.tar.gz"


def cut(file):
    Path("cut.tar.gz").write_bytes(Path(file).read_bytes()[:-3000])
    return "cut.tar.gz"


def flipped(file):
    content = bytearray(Path(file).read_bytes())
    content[len(content) // 2] ^= 255
    Path("flipped.tar.gz").write_bytes(content)
    return "flipped.tar.gz"


@pytest.mark.parametrize(("broken", "why"), [
    (cut, "beschädigt"),
    (flipped, "beschädigt"),
    (lambda _: "portal.keys", "keine Sicherung"),
    (lambda _: "nowhere.tar.gz", "gibt es nicht"),
    (lambda file: changed(file, rows={}), "Zahl der Zeilen"),
    (lambda file: changed(file, members={"kmzportal.db": "0" * 64}), "Prüfsumme"),
    (lambda file: changed(file, members={"../../evil": "0" * 64}), "beschädigt"),
    (lambda file: changed(file, members={"manifest.json/../../../evil": "0" * 64}), "beschädigt"),
    (lambda file: changed(file, schema="9999"), "neueren Fassung"),
    (lambda file: changed(file, format=99), "neueren Fassung"),
])  # fmt: skip
def test_what_is_no_whole_backup_of_this_version_is_refused_and_nothing_changes(saved, broken, why):
    before = (saved.instance / "kmzportal.db").read_bytes()
    assert why in saved.refuses("restore", broken("portal.tar.gz"), "--yes")
    assert (saved.instance / "kmzportal.db").read_bytes() == before
    assert not (saved.instance / "backups").exists()


def test_a_backup_of_the_other_database_is_refused(saved, monkeypatch, postgres_uri):
    monkeypatch.setenv("KMZPORTAL_SQLALCHEMY_DATABASE_URI", postgres_uri)
    assert "Die Sicherung ist aus sqlite, eingestellt ist postgresql" in saved.refuses(
        "restore", "portal.tar.gz", "--yes"
    )


def test_it_asks_before_it_replaces(saved):
    assert "Nichts wurde ersetzt." in saved.refuses("restore", "portal.tar.gz", answer="nein\n")
    assert "Nichts wurde ersetzt." in saved.refuses("restore", "portal.tar.gz")
    assert not (saved.instance / "backups").exists()
    assert saved.run("restore", "portal.tar.gz", answer="ja\n").exit_code == 0


def test_a_database_in_use_is_refused(saved):
    with closing(sqlite3.connect(saved.instance / "kmzportal.db")) as other:
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("SELECT * FROM customer").fetchone()
        assert "wird noch benutzt" in saved.refuses("restore", "portal.tar.gz", "--yes")


@pytest.mark.trial
def test_a_connection_to_postgresql_that_is_just_being_closed_is_waited_for(postgres_uri):
    other = create_engine(postgres_uri).connect()
    app = create_app({"SQLALCHEMY_DATABASE_URI": postgres_uri, "TESTING": True})
    with app.app_context():
        closing_soon = threading.Timer(0.5, other.invalidate)
        closing_soon.start()
        postgres_tools.refuse_if_used()
        closing_soon.join()
        close()


def test_a_file_without_keys_is_refused_as_keys(saved):
    for wrong in ("instance/config.toml", "portal.tar.gz", "nowhere"):
        assert f"{wrong} enthält keine Schlüssel" in saved.refuses("restore", "portal.tar.gz", "--keys", wrong)


@pytest.mark.parametrize("intact", [0, 60_000])
def test_a_damaged_database_is_put_aside(saved, intact):
    database = saved.instance / "kmzportal.db"
    content = database.read_bytes()[:intact] + b"not a database" * 20_000
    database.write_bytes(content)
    saved.refuses("backup")
    saved("restore", "portal.tar.gz", "--yes")
    (damaged,) = saved.instance.glob("kmzportal.db.damaged-*")
    assert damaged.read_bytes() == content
    with saved.app():
        assert len(everybody()) == 5


# Keys


KIM = ("clerks", "add", "kim@kmz.example", "--name", "Kim Muster", "--initials", "km", "--print-link")


@pytest.mark.parametrize("name", KEYS)
def test_another_key_is_refused_with_its_cures_until_it_is_accepted(office, name):
    (office.instance / name.lower()).write_text("another key that has many characters")
    sentence = office.refuses(*KIM)
    assert sentence.startswith(f"Die Datenbank wurde zuletzt mit anderen Schlüsseln benutzt ({name}): ")
    for cure in (f"instance/{name.lower()}", "kmzportal restore DATEI --keys", "kmzportal keys accept"):
        assert cure in sentence
    assert sentence == office.refuses("work")
    with office.app(), transaction("console") as tx:
        tx.session.add(DeletedCustomer(number_hash="of somebody", deleted_at=tx.now))
    accepted = office("keys", "accept")
    assert f"Angenommen: {name}." in accepted
    assert ("nicht mehr zu erkennen sind: 1." in accepted) is (name == "LINK_KEY")
    assert ("Rosa Otto" in accepted) is (name == "FACTOR_KEY")
    assert "/link/" in office(*KIM)


@pytest.mark.parametrize("name", KEYS)
def test_a_key_whose_former_value_is_a_fallback_is_a_rotation(office, name, monkeypatch):
    code = office.totp()
    former = (office.instance / name.lower()).read_text()
    (office.instance / name.lower()).write_text("a new key that has many characters")
    monkeypatch.setenv(f"KMZPORTAL_{name}_FALLBACKS", former)
    assert "/link/" in office(*KIM)
    assert office.logs_in(code) == "/kundenservice/kunden"


def test_a_database_of_before_the_fingerprints_knows_its_link_key_by_its_links(office):
    with office.app(), db.engine.begin() as connection:
        connection.execute(text("DELETE FROM key_fingerprint"))
    assert "/link/" in office(*KIM)
    (office.instance / "link_key").write_text("another key that has many characters")
    assert "mit anderen Schlüsseln benutzt (LINK_KEY, FACTOR_KEY)" in office.refuses(
        "links", "send", people.MAX["email"], "--by", "ro"
    )


# Versions


@pytest.mark.parametrize("words", [KIM, ("customers", "export"), ("purge",), ("db", "upgrade"), ("work",), ("backup",)])
def test_a_database_of_a_newer_version_is_refused_by_every_command(office, words):
    with office.app(), db.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert office.refuses(*words).startswith("Die Datenbank hat den Stand 9999, dieses Programm kennt nur")


def test_after_a_failed_update_the_older_version_takes_its_backup_back(either):
    either("backup", "portal.tar.gz")
    with either.app(), db.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(text("CREATE TABLE of_the_newer_version (customer_id INTEGER REFERENCES customer (id))"))
    either("restore", "portal.tar.gz", "--yes")
    assert "/link/" in either(*KIM)


def test_without_tables_there_is_nothing_to_save(tmp_path, monkeypatch):
    (tmp_path / "instance").mkdir()
    assert "noch keine Tabellen" in Office(tmp_path, monkeypatch).refuses("backup")


def test_the_database_is_whole_in_one_file_after_a_command(office):
    office(*KIM)
    assert [path.name for path in office.instance.glob("kmzportal.db*")] == ["kmzportal.db"]
