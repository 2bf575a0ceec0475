"""A worker that is killed while it reads the mailbox and answers: no mail is lost, nothing happens twice."""

import secrets
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing

import pytest

from tests import imap_server, mail_server
from tests.imap_server import written
from tests.server.conftest import ROOT, until

KILLS, MAILS_EACH = 20, 3


@pytest.mark.trial
def test_after_twenty_kills_each_mail_is_one_case_with_one_receipt(tmp_path):
    smtp, numbers = mail_server.MailServer(), iter(range(1000))
    with (
        imap_server.listening(imap_server.certificate(tmp_path)) as imap,
        mail_server.listening(smtp) as smtp_port,
    ):
        settings = imap_server.settings(imap) | {
            "INSTANCE_PATH": tmp_path, "PUBLIC_URL": "https://konto.kmz.example", "IMAP_EVERY": 0, "MAIL_TIMEOUT": 5,
            "MAIL_SERVER": "127.0.0.1", "MAIL_PORT": smtp_port,
        }  # fmt: skip
        environment = {f"KMZPORTAL_{name}": str(value) for name, value in settings.items()}

        def work():
            with (tmp_path / "output").open("ab") as output:
                command = [sys.executable, "-m", "kmzportal", "work"]
                return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)

        def rows(statement):
            with closing(sqlite3.connect(tmp_path / "kmzportal.db", timeout=10)) as database, database:
                return database.execute(statement).fetchall()

        def add():
            imap.add(*(written(sender=f"n{next(numbers)}@web.de") for _ in range(MAILS_EACH)))

        def cases():
            return rows("SELECT count(*) FROM support_case")[0][0]

        add()
        worker = work()
        until(lambda: imap.count() == 0)
        for kill in range(KILLS):
            add()
            time.sleep(secrets.randbelow(1200) / 1000)  # it reads once a second
            worker.send_signal(signal.SIGKILL)
            worker.wait()
            worker = work()
            until(lambda at_least=(kill + 1) * MAILS_EACH: cases() > at_least)  # it works again, amid the next mails
        until(lambda: imap.count() == 0)
        # A mail that the dead process had claimed is taken up when its lease ends.
        rows("UPDATE outgoing_mail SET leased_until = queued_at WHERE leased_until IS NOT NULL")
        until(lambda: rows("SELECT count(*) FROM outgoing_mail WHERE state != 'sent'") == [(0,)])
        worker.terminate()
        worker.wait(60)
        mails = (KILLS + 1) * MAILS_EACH
        assert cases() == mails
        assert rows("SELECT count(*), count(DISTINCT email) FROM support_case") == [(mails, mails)]
        assert imap.count("kmzportal") == mails
    assert rows("SELECT count(*) FROM outgoing_mail WHERE template = 'case_receipt'") == [(mails,)]
    received = Counter(message.mail["Message-ID"] for message in smtp.messages)
    assert len(received) == mails
    assert sum(number - 1 for number in received.values()) <= KILLS
    assert {message.to[0] for message in smtp.messages} == {f"n{number}@web.de" for number in range(mails)}
