"""Each planted fault is named with its consequence and cure; a healthy portal has none. All servers are real."""

import os
import resource
import socket
import socketserver
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import dns.resolver
import pytest
import trustme

from kmzportal.db import db
from kmzportal.doctor import GROUPS
from kmzportal.models import MailState, OutgoingMail
from kmzportal.services import audit_chain, support_mail
from kmzportal.services.alarms import raise_alarm
from kmzportal.services.diagnosis import TEXTS
from tests.doctor.servers import serving
from tests.mail_server import MailServer, authenticate, listening
from tests.server.conftest import free_port

FAULTS = {}


def plant(check, status="warn", before=False, cure=""):
    """Register a function that breaks a healthy portal; `before` it starts, if so."""

    def register(function):
        FAULTS[f"{check}-{function.__name__}" if check in FAULTS else check] = (check, status, before, cure, function)
        return function

    return register


def settings(check, status="warn", cure="", **values):
    @plant(check, status, before=True, cure=cure)
    def configure(patient, **_):
        patient.settings |= values


def zone(check, status="warn", cure="", name="kmz.example", kind="TXT", records=()):
    @plant(check, status, cure=cure)
    def change(patient, **_):
        patient.dns.zone[name, kind] = list(records)


def sql(check, status, statement, cure="", **values):
    @plant(check, status, cure=cure)
    def execute(patient, **_):
        patient.sql(statement, **values)


def ago(**span):
    return str((datetime.now(UTC) - timedelta(**span)).replace(tzinfo=None))


settings("settings_faults", "fail", "kmzportal config", PROXY_HOPS=0)
settings("settings_unknown", cure="kmzportal config", OFICE_NAME="x")
settings("fallbacks", cure="FALLBACKS", LINK_KEY_FALLBACKS=["k" * 40])
settings("office", cure="config.toml", OFFICE_PHONE="07051 965 220")
settings("pages", cure="instance/pages", OFFICE_BODY="")
settings("mailbox", "fail", "support fetch", IMAP_SERVER="127.0.0.1", IMAP_PORT=9, IMAP_USERNAME="a", IMAP_PASSWORD="b")
settings("mail_server", cure="MAIL_SERVER", MAIL_SERVER="")
settings("smtp_name", "fail", "MAIL_SERVER", MAIL_SERVER="gibt-es-nicht.invalid")
settings("smtp_connection", "fail", "MAIL_PORT", MAIL_PORT=9)
settings("smtp_login", "fail", "MAIL_PASSWORD", MAIL_PASSWORD="falsch")
settings("hops", "fail", "PROXY_HOPS", PROXY_HOPS=2)
settings("dkim_selector", cure="DKIM-Signature", MAIL_DKIM_SELECTOR="")
settings("host_resolves", "fail", "A- oder AAAA", PUBLIC_URL="https://gibt-es-nicht.invalid")
settings("reachable", "fail", "deploy/", PUBLIC_URL="https://localhost:9")
zone("sender_mx", "fail", "MX-Eintrag", kind="MX")
zone("sender_mx", "fail", kind="MX", records=["0 ."])
zone("spf", cure="v=spf1 mx")
zone("spf", cure="v=spf1 mx", records=['"v=spf1 mx -all"', '"v=spf1 a -all"'])
zone("dkim", cure="MAIL_DKIM_SELECTOR", name="sel._domainkey.kmz.example", records=['"v=DKIM1; p="'])
zone("dmarc", cure="p=quarantine", name="_dmarc.kmz.example")
zone("dmarc_policy", cure="p=quarantine", name="_dmarc.kmz.example", records=['"v=DMARC1; p=none"'])
sql("migrations", "fail", "UPDATE alembic_version SET version_num = '0003'", "kmzportal db upgrade")
sql("migrations", "fail", "UPDATE alembic_version SET version_num = '9999'", "neuere Fassung")
sql("key_fingerprints", "fail", "UPDATE key_fingerprint SET fingerprint = 'x'", "kmzportal keys accept")
sql("admin", "fail", "UPDATE clerk SET locked_at = :at", "kmzportal clerks add", at=ago(days=1))
sql("second_factor", "warn", "UPDATE clerk SET factor_nonce = NULL", "kmzportal clerks link")
sql("worker", "fail", "UPDATE heartbeat SET beat_at = :at WHERE loop = 'mails'", "restart kmzportal", at=ago(minutes=2))
sql("purge", "warn", "UPDATE heartbeat SET beat_at = :at WHERE loop = 'purge'", "journalctl", at=ago(hours=3))
sql("clock", "fail", "UPDATE heartbeat SET beat_at = :at WHERE loop = 'purge'", "timedatectl", at=ago(days=3))


@plant("libraries", "fail", cure="pip install")
def old_library(tmp_path, monkeypatch, **_):
    (tmp_path / "old" / "segno-0.1.dist-info").mkdir(parents=True)
    (tmp_path / "old" / "segno-0.1.dist-info" / "METADATA").write_text("Name: segno\nVersion: 0.1\n")
    monkeypatch.syspath_prepend(tmp_path / "old")


@plant("open_files", cure="LimitNOFILE")
def few_files(request, **_):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
    request.addfinalizer(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, before))


@plant("debug", "fail", cure="FLASK_DEBUG")
def debugging(monkeypatch, **_):
    monkeypatch.setenv("FLASK_DEBUG", "1")


@plant("owner", "fail", cure="Benutzer des Portals")
def another_owner(patient, **_):
    if os.geteuid() == 0:
        os.chown(patient.instance, 65534, -1)
    else:
        (patient.instance / "config.toml").chmod(0)


@plant("modes", cure="chmod")
def readable_by_all(patient, **_):
    (patient.instance / "kmzportal.db").chmod(0o644)


@plant("leftovers", cure="rm -r")
def killed_backup(patient, **_):
    folder = patient.instance / "backups" / ".kmzportal-x1"
    folder.mkdir()
    os.utime(folder, (time.time() - 7200,) * 2)


@plant("keys_present", "fail", before=True, cure="restore")
def lost_key(patient, **_):
    (patient.instance / "factor_key").unlink()


@plant("database", "fail", cure="SQLALCHEMY_DATABASE_URI")
def garbage(patient, **_):
    patient.end()
    for path in patient.instance.glob("kmzportal.db*"):
        path.unlink()
    (patient.instance / "kmzportal.db").write_bytes(b"no database" * 1000)


@plant("integrity", "fail", cure="kmzportal restore")
def damaged_page(patient, **_):
    patient.end()
    with (patient.instance / "kmzportal.db").open("r+b") as file:
        file.seek(4096 * 20)
        file.write(b"\xff" * 4096 * 5)


@plant("wal_size", cure="restart kmzportal")
def long_wal(patient, **_):
    with patient.portal.app_context():
        os.truncate(patient.instance / "kmzportal.db-wal", 65 * 2**20)


@plant("wal", cure="gewöhnliche eigene Platte")
def other_journal(patient, **_):
    with patient.portal.app_context(), db.engine.connect() as connection:  # the pool gives it to the doctor
        connection.connection.execute("PRAGMA journal_mode=DELETE")


@plant("mailbox_read", "fail", before=True, cure="IMAP_")
def unread_mailbox(patient, **_):
    patient.settings |= {"IMAP_SERVER": "127.0.0.1", "IMAP_PORT": 9, "IMAP_USERNAME": "a", "IMAP_PASSWORD": "b"}
    patient.live().backend.run(support_mail.record_outage, "127.0.0.1:9 ist nicht erreichbar.")


def add_mails(patient, number, queued_at, **values):
    for index in range(number):
        address = {"recipient": "e@web.de", "recipient_canonical": "e@web.de"}
        facts = {"template": "password_changed", "facts": {}, "message_id": f"<{index}@kmz.example>", "tries": 1}
        patient.backend.add(OutgoingMail(**address, **facts, queued_at=queued_at, next_try_at=queued_at, **values))


@plant("outbox_age", cure="kmzportal mail test")
def waiting_mail(patient, **_):
    add_mails(patient, 1, datetime.now(UTC) - timedelta(hours=2))


@plant("refused_mails", cure="SPF, DKIM")
def refused_mails(patient, **_):
    now = datetime.now(UTC)
    add_mails(patient, 10, now, state=MailState.REFUSED, settled_at=now)


@plant("audit_chain", "fail", cure="audit verify")
def changed_event(patient, **_):
    with patient.backend.transaction("console") as tx:
        tx.record("logout")
        audit_chain.chain(tx.session, tx.settings)
    patient.sql("UPDATE audit_event SET actor = 'worker'")


@plant("alarms", cure="Protokoll")
def alarm_of_today(patient, **_):
    patient.backend.run(lambda tx: raise_alarm(tx, "recovery_flood", number=400))


@plant("backup", cure="kmzportal backup")
def old_backup(patient, **_):
    os.utime(patient.backup, (time.time() - 27 * 3600,) * 2)


@plant("https", before=True, cure="Zertifikat")
def plain_address(patient, **_):
    patient.settings |= {"PUBLIC_URL": "http://localhost:9", "PROXY_HOPS": 0}


@plant("passkey_host", before=True, cure="Namen im DNS")
def address_as_number(patient, **_):
    patient.settings["PUBLIC_URL"] = patient.url.replace("localhost", "127.0.0.1")


@plant("certificate", "fail", cure="certbot renew")
def strange_authority(patient, tls, **_):
    patient.proxy.tls = tls(trustme.CA())


@plant("certificate_days", cure="certbot renew")
def ending_certificate(patient, tls, **_):
    patient.proxy.tls = tls(days=10)


@plant("certificate_days", "fail", cure="certbot renew")
def almost_ended_certificate(patient, tls, **_):
    patient.proxy.tls = tls(days=3)


@plant("redirect", cure="return 301")
def no_redirect(patient, **_):
    patient.redirect.to = "http://localhost/index.html"


@plant("reachable", "fail", cure="deploy/")
def bad_gateway(patient, **_):
    patient.proxy.answers = {"/": (502, b"Bad Gateway")}


@plant("own_portal", "fail", cure="SECRET_KEY")
def another_program(patient, **_):
    patient.proxy.answers = {"/": (200, b"Welcome to nginx!")}


@plant("host_header", "fail", cure="proxy_set_header Host")
def other_host(patient, **_):
    patient.proxy.sent["Host"] = "127.0.0.1:8000"


@plant("scheme", "fail", cure="X-Forwarded-Proto")
def no_scheme(patient, **_):
    patient.proxy.sent = {}


@plant("hops", "fail", cure="X-Forwarded-For")
def no_client(patient, **_):
    patient.proxy.appends_client = False


@plant("spoofing", "fail", cure="proxy_add_x_forwarded_for")
def believed_client(patient, **_):
    patient.proxy.appends_client = False


@plant("buffering", cure="proxy_request_buffering")
def unbuffered(patient, **_):
    patient.proxy.buffers = False


@plant("headers", "fail", cure="proxy_hide_header")
def dropped_header(patient, **_):
    patient.proxy.dropped = {"Strict-Transport-Security"}


@plant("headers", "fail", cure="add_header")
def changed_header(patient, **_):
    patient.proxy.added = {"Content-Security-Policy": "default-src *"}


@plant("http_clock", "fail", cure="timedatectl")
def wrong_clock(patient, **_):
    patient.proxy.added = {"Date": format_datetime(datetime.now(UTC) - timedelta(seconds=40), usegmt=True)}


@plant("smtp_clock", "fail", cure="timedatectl")
def wrong_clock_of_the_mail_server(patient, request, tls, **_):
    at = format_datetime(datetime.now(UTC) - timedelta(seconds=40))
    secured = {"tls_context": tls(), "authenticator": authenticate, "auth_required": True}
    server = listening(MailServer(), ident=f"mail.kmz.example ESMTP; {at}", **secured)
    patient.portal.extensions["mail"].port = server.__enter__()
    request.addfinalizer(lambda: server.__exit__(None, None, None))


@plant("security_txt", cure="/.well-known/")
def hidden_security_txt(patient, **_):
    patient.proxy.answers = {"/.well-known/": (404, b"")}


@plant("smtp_greeting", "fail", cure="EHLO")
def refused_greeting(patient, request, **_):
    patient.portal.extensions["mail"].port = talking(request, b"220 hello\r\n", b"550 5.7.1 no\r\n")


@plant("smtp_encryption", "fail", before=True, cure="MAIL_CA_FILE")
def strange_mail_certificate(patient, tmp_path, **_):
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    patient.settings["MAIL_CA_FILE"] = str(tmp_path / "other.pem")


@plant("smtp_sender", "fail", cure="MAIL_DEFAULT_SENDER")
def refused_sender(patient, **_):
    patient.mail.mail_reply = "550 5.7.60 you may not send as this sender"


@plant("smtp_recipient", "fail", cure="Relay denied")
def refused_recipient(patient, **_):
    patient.mail.rcpt_replies = {"hilfe@kmz.example": "554 5.7.1 <hilfe@kmz.example>: Relay access denied"}


@plant("spf_relay", before=True, cure="include:")
def relay_outside_of_spf(patient, **_):
    patient.settings["MAIL_SERVER"] = "relay.kmz.example"
    patient.dns.zone["_spf.kmz.example", "TXT"] = ['"v=spf1 ip4:203.0.115.0/24 a:kmz.example mx ~all"']


@plant("dns_server", cure="resolv.conf")
def no_dns(monkeypatch, **_):
    monkeypatch.setattr(dns.resolver.default_resolver, "port", free_port())


def talking(request, greeting, reply):
    """Run a server that sends this greeting, and this reply to each line."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(greeting)
            while self.rfile.readline():
                self.wfile.write(reply)

    server = serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler))
    running = server.__enter__()
    request.addfinalizer(lambda: server.__exit__(None, None, None))
    return running.server_address[1]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_named_with_its_cure(fault, patient, tls, tmp_path, monkeypatch, request):
    check, status, before, cure, break_it = FAULTS[fault]
    given = {"patient": patient, "tls": tls, "tmp_path": tmp_path, "monkeypatch": monkeypatch, "request": request}
    if before:
        break_it(**given)
    if not hasattr(patient, "backend"):
        patient.live()
    if not before:
        break_it(**given)
    found = patient.examine()
    assert check in found, sorted(found)
    result = found[check]
    assert result.status == status, result
    assert cure in result.cure and result.fault and result.consequence


def test_a_healthy_portal_has_no_fault(patient):
    found = patient.live().examine()
    assert {name: result for name, result in found.items() if result.fault} == {}
    assert len(found) >= 45
    assert patient.mail.messages == [] and patient.mail.senders == ["hilfe@kmz.example"]


def test_a_relay_that_spf_includes_is_permitted(patient):
    patient.settings["MAIL_SERVER"] = "relay.kmz.example"
    assert patient.live().examine()["spf_relay"].status == "ok"


def test_the_demo_asks_no_dns_server(patient):
    patient.live().portal.config["DEMO"] = True
    assert not {"dns_server", "sender_mx", "spf", "dkim", "dmarc"} & set(patient.examine())


def test_every_check_has_its_texts():
    names = [name for group in GROUPS for name in group.names()]
    assert sorted(names) == sorted(TEXTS) and len(names) > 60


def test_servers_that_never_answer_delay_no_other_check(patient):
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        port = hanging.getsockname()[1]
        patient.settings |= {"PUBLIC_URL": f"https://localhost:{port}", "MAIL_PORT": port, "MAIL_TIMEOUT": 1}
        started = time.monotonic()
        found = patient.live().examine()
        assert time.monotonic() - started < 30
    assert found["reachable"].status == found["smtp_connection"].status == "fail"
    assert found["integrity"].status == found["spf"].status == "ok"


def test_words_of_the_mail_server_are_quoted(patient):
    patient.live()
    patient.mail.mail_reply = "550 5.7.60 you may not send as this sender"
    assert "550 5.7.60 you may not send as this sender" in patient.examine()["smtp_sender"].fault


def test_strangers_learn_nothing_from_the_probe(patient):
    client = patient.live().portal.test_client()
    for probe in ("", "?probe=x", "?probe=abc.def"):
        assert client.get(f"/healthz{probe}").text == "ok\n"
