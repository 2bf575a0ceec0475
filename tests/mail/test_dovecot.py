"""The support mailbox on a Dovecot, where it is installed."""

import pytest

from kmzportal.mail import inbox
from kmzportal.services.support_mail import Effect
from tests import dovecot, imap_server
from tests.imap_server import written

pytestmark = pytest.mark.trial


def test_mails_become_cases_once_and_are_moved_with_umlauts_in_the_folder(app, monkeypatch, backend):
    assert dovecot.version().startswith("2.3."), "Dovecot 2.3 is not installed: run tools/servers as root"
    with dovecot.listening() as server, app.app_context():
        for name, value in (imap_server.settings(server) | {"IMAP_DONE_FOLDER": "Erledigt für das Portal"}).items():
            monkeypatch.setitem(app.config, name, value)
        mail = written()
        server.add(mail, written("Größe: 10 €", subject="Grüße"))
        assert inbox.fetch() == {Effect.CASE: 2}
        assert (server.count(), server.count("Erledigt für das Portal")) == (0, 2)
        server.add(mail)
        assert inbox.fetch() == {Effect.KNOWN: 1}
        assert (server.count(), server.count("Erledigt für das Portal")) == (0, 3)
