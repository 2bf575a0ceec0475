"""A healthy portal with all that stands around it. Each test breaks one thing."""

import os
import shutil
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import dns.resolver
import pytest
import trustme
from sqlalchemy import text

from kmzportal import create_app, doctor
from kmzportal.db import close
from kmzportal.migrations import upgrade
from kmzportal.services import backup, clock, keys, outbox
from kmzportal.services.diagnosis import Result
from tests import people
from tests.backend import Backend
from tests.doctor import servers
from tests.mail_server import PASSWORD, MailServer, authenticate, listening

ZONE = {
    ("kmz.example", "MX"): ["10 mail.kmz.example."],
    ("kmz.example", "TXT"): ['"v=spf1 include:_spf.kmz.example -all"', '"another=text"'],
    ("_spf.kmz.example", "TXT"): ['"v=spf1 ip4:203.0.114.0/28 ~all"'],
    ("relay.kmz.example", "A"): ["203.0.114.7"],
    ("sel._domainkey.kmz.example", "TXT"): ['"v=DKIM1; k=rsa; " "p=MIGfMA0G"'],
    ("_dmarc.kmz.example", "TXT"): ['"v=DMARC1; p=quarantine"'],
}
SETTINGS = {
    "PROXY_HOPS": 1,
    "MAIL_SERVER": "localhost",
    "MAIL_USE_TLS": True,
    "MAIL_USERNAME": "portal",
    "MAIL_PASSWORD": PASSWORD,
    "MAIL_TIMEOUT": 3,
    "MAIL_DKIM_SELECTOR": "sel",
    "OFFICE_NAME": "Medienzentrum Muster",
    "OFFICE_STREET": "Hauptstraße 1",
    "OFFICE_TOWN": "12345 Musterstadt",
    "OFFICE_PHONE": "0123 456780",
    "OFFICE_FAX": "0123 456789",
    "OFFICE_EMAIL": "verleih@kmz.example",
    "OFFICE_SUPPORT_EMAIL": "hilfe@kmz.example",
    "OFFICE_SITE": "https://kmz.example",
    "OFFICE_BODY": "Landkreis Muster",
    "OFFICE_REPRESENTATIVE": "die Landrätin",
    "OFFICE_AUTHORITY": "das Regierungspräsidium",
    "PRIVACY_OFFICER": "datenschutz@kmz.example",
    "PRIVACY_PROCESSORS": "niemand",
    "ACCESSIBILITY_STATUS": "vereinbar",
    "ACCESSIBILITY_METHOD": "selbst geprüft",
    "ACCESSIBILITY_EXCEPTIONS": "keine",
}


@pytest.fixture(scope="session")
def authority():
    return trustme.CA()


@pytest.fixture(scope="session")
def tls(authority):
    """Return a function that makes a server's TLS context for this machine."""

    def tls(signed_by=authority, days=90):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        until = datetime.now(UTC) + timedelta(days=days, hours=1)
        signed_by.issue_cert("localhost", "127.0.0.1", not_after=until).configure_cert(context)
        return context

    return tls


@pytest.fixture(scope="session")
def running(tls, authority, tmp_path_factory):
    """All servers, and the folder of a portal that was migrated; started once."""
    folder = tmp_path_factory.mktemp("doctor")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    (folder / "instance").mkdir(mode=0o700)
    before = os.umask(0o077)
    try:
        app = create_app(instance=folder / "instance")
        upgrade(app)
        with app.app_context():
            close()
    finally:
        os.umask(before)
    mail, app = MailServer(), servers.Portal()
    secured = {"tls_context": tls(), "authenticator": authenticate, "auth_required": True}
    with (
        servers.dns_server() as dns_server,
        servers.proxy() as proxy,
        servers.redirect() as redirect,
        servers.portal(app) as portal,
        listening(mail, **secured) as mail_port,
    ):
        proxy.upstream = portal.server_port
        yield SimpleNamespace(
            folder=folder, app=app, dns=dns_server, proxy=proxy, redirect=redirect, mail=mail, mail_port=mail_port
        )


class Patient:
    """A healthy portal in its own folder. Tests change `settings` before `start`, and anything after it."""

    def __init__(self, running, folder: Path):
        self.__dict__.update(vars(running))
        self.instance = folder
        shutil.copytree(running.folder / "instance", folder, copy_function=shutil.copy2)
        folder.chmod(0o700)
        self.url = f"https://localhost:{running.proxy.server_port}"
        self.settings = SETTINGS | {
            "PUBLIC_URL": self.url,
            "MAIL_PORT": running.mail_port,
            "MAIL_CA_FILE": str(running.folder / "ca.pem"),
            "ACCESSIBILITY_STATEMENT_DATE": datetime.now(UTC).date().isoformat(),
        }
        self.portal = None

    def start(self):
        if self.portal is None:
            backup.write_private(self.instance / "config.toml", backup.toml(self.settings))
            self.portal = self.app.app = create_app(instance=self.instance, make_keys=False)
        return self

    def live(self):
        """Let a worker have run, a backup be made, and one admin be there."""
        self.start()
        self.backend = Backend(self.portal)
        self.backend.run(keys.take)
        self.rosa = self.backend.add(people.person(people.ROSA))
        self.backend.add_second_factor(self.rosa)
        for loop in outbox.MAIL_LOOPS:
            self.backend.run(outbox.record_heartbeat, loop)
        self.backend.run(clock.record_purge)
        (self.instance / "backups").mkdir(mode=0o700)
        self.backup = self.instance / "backups" / "kmzportal-20261128-030000.tar.gz"
        self.backup.touch(0o600)
        return self

    def sql(self, statement, **values):
        with self.backend.transaction("console") as tx:
            tx.session.execute(text(statement), values)

    def examine(self) -> dict[str, Result]:
        results = doctor.examine(self.instance, self.portal, self.redirect.server_port)
        return {result.check: result for result in results}

    def end(self):
        if self.portal:
            with self.portal.app_context():
                close()


@pytest.fixture
def patient(running, tls, tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("KMZPORTAL_TEST_")]:
        monkeypatch.delenv(name)  # of these tests, no settings
    monkeypatch.setenv("SSL_CERT_FILE", str(running.folder / "ca.pem"))
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], running.dns.server_address[1]
    monkeypatch.setattr(dns.resolver, "default_resolver", resolver)
    running.dns.zone = dict(ZONE)
    running.proxy.reset()
    running.proxy.tls = tls()
    running.redirect.to = "https://localhost/anmelden"
    running.mail.reset()
    patient = Patient(running, tmp_path / "instance")
    yield patient
    patient.end()
