"""The support mailbox at the command line: read once, tested, and named by `config` when it fails."""

import pytest

from kmzportal.services import support_mail
from tests import imap_server
from tests.imap_server import written


@pytest.fixture
def imap(settings, tmp_path):
    with imap_server.listening(imap_server.certificate(tmp_path)) as server:
        settings.update(imap_server.settings(server))
        yield server


def test_the_mailbox_is_read_once_and_the_number_named(type_in, imap):
    imap.add(written(), written(sender="liste@web.de", Precedence="bulk"))
    outputs = [type_in("support", "fetch").output for _ in range(2)]
    assert outputs == ["Gelesene E-Mails: 2 (Anfragen 1, ohne Folge 1).\n", "Gelesene E-Mails: 0.\n"]


def test_the_test_names_folder_and_number_and_changes_nothing(type_in, imap):
    imap.add(written())
    for _ in range(2):
        expected = f"127.0.0.1:{imap.port} nimmt die Anmeldung an. E-Mails im Ordner „INBOX“: 1.\n"
        assert type_in("support", "test").output == expected


@pytest.mark.parametrize("command", ["test", "fetch"])
def test_a_wrong_setting_is_one_sentence(type_in, imap, settings, command):
    settings["IMAP_PASSWORD"] = "falsch"
    result = type_in("support", command)
    assert result.exit_code == 1
    assert result.output == (
        f"127.0.0.1:{imap.port} nimmt die Anmeldung nicht an. Prüfen Sie IMAP_USERNAME und IMAP_PASSWORD.\n"
    )


@pytest.mark.parametrize("command", ["test", "fetch"])
def test_without_a_mailbox_the_setting_is_named(type_in, app, command):
    result = type_in("support", command)
    assert (result.exit_code, result.output[:22]) == (1, "IMAP_SERVER ist leer. ")


def test_config_names_since_when_the_mailbox_is_not_read(type_in, backend, settings, clock, tmp_path, monkeypatch):
    monkeypatch.setenv("KMZPORTAL_INSTANCE_PATH", str(tmp_path))
    monkeypatch.setenv("KMZPORTAL_PUBLIC_URL", "http://localhost")
    settings["IMAP_SERVER"] = "imap.kmz.example"
    backend.run(support_mail.record_outage, "Der Server ist nicht erreichbar.")
    assert (
        "Achtung: Das Postfach wird seit 23.11.2026, 14:05 Uhr nicht gelesen: Der Server ist nicht erreichbar."
        in type_in("config").output
    )
