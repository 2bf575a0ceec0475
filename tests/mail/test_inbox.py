"""The support mailbox: each mail has its effect once and is moved; hostile mails and failing servers stop nothing."""

import codecs
import logging
import time

import pytest
from sqlalchemy import select

from kmzportal.mail import inbox, incoming
from kmzportal.mail.incoming import SIZE_READ, UNREADABLE, parse
from kmzportal.models import SupportCase
from kmzportal.server.worker import Loop
from kmzportal.services import outbox, support_mail
from kmzportal.services.support_mail import Effect
from tests import imap_server
from tests.imap_server import written
from tests.server.conftest import free_port


@pytest.fixture
def cases(backend):
    return lambda: backend.read(select(SupportCase).order_by(SupportCase.id))


@pytest.fixture
def texts(backend):
    """Return the first entry of each case."""

    def texts():
        with backend.transaction() as tx:
            return [case.entries[0].text for case in tx.session.scalars(select(SupportCase).order_by(SupportCase.id))]

    return texts


@pytest.fixture
def loop(app, imap):
    return Loop(app, outbox.INBOX_LOOP, inbox.fetch_if_due)


@pytest.fixture
def outage(backend):
    def outage():
        with backend.transaction() as tx:
            return support_mail.inbox_outage(tx.session, tx.settings)

    return outage


def test_a_mail_becomes_a_case_with_a_receipt_and_is_moved(imap, fetch, cases, texts, backend):
    imap.add(written(), written("Zweite", sender="Max <max@web.de>"))
    assert fetch() == {Effect.CASE: 2}
    first, second = cases()
    assert (first.email, first.name, first.channel, first.branch) == (
        "erika.privat@web.de", "Erika Mustermann", "mail", "other",
    )  # fmt: skip
    assert second.email == "max@web.de"
    assert texts()[0] == "Zugangsdaten\n\nBenötige neue Zugangsdaten für edupool"
    assert [mail.recipient for mail in backend.mails("case_receipt")] == [first.email, second.email]
    assert (imap.count(), imap.count("kmzportal")) == (0, 2)
    assert fetch() == {}


def test_a_mail_that_was_not_moved_has_its_effect_only_once(imap, fetch, cases, backend):
    mail, without_id = written(), written(Message_ID="keine")
    imap.add(mail, without_id, written(sender="liste@web.de", Message_ID="<liste@web.de>", List_Id="<x.web.de>"))
    assert fetch() == {Effect.CASE: 2, Effect.NONE: 1}
    imap.add(mail, without_id)
    assert fetch() == {Effect.KNOWN: 2}
    assert (len(cases()), len(backend.mails("case_receipt"))) == (2, 2)
    assert imap.count("kmzportal") == 5


def test_a_mailbox_with_starttls_is_read(app, certificate, monkeypatch, cases):
    with imap_server.listening(certificate(), starttls=True) as server, app.app_context():
        for name, value in imap_server.settings(server).items():
            monkeypatch.setitem(app.config, name, value)
        server.add(written())
        assert inbox.fetch() == {Effect.CASE: 1}
    assert len(cases()) == 1


@pytest.mark.parametrize(("setting", "value", "reason"), [
    ("IMAP_PORT", None, "ist nicht erreichbar"),
    ("IMAP_SERVER", "gibt-es-nicht.invalid", "Den Mailserver gibt-es-nicht.invalid"),
    ("IMAP_SERVER", "localhost", "Das Zertifikat"),
    ("MAIL_CA_FILE", "", "Das Zertifikat"),
    ("IMAP_PASSWORD", "falsch", "nimmt die Anmeldung nicht an"),
    ("IMAP_PASSWORD", "für nichts", "nimmt die Anmeldung nicht an"),
    ("IMAP_FOLDER", "Anfragen", "Den Ordner „Anfragen“ gibt es im Postfach nicht"),
])  # fmt: skip
def test_a_failing_mailbox_is_logged_once_and_shown_with_its_cause_until_it_works(
    imap, loop, cases, outage, clock, app, monkeypatch, caplog, setting, value, reason
):
    imap.add(written())
    works = app.config[setting]
    monkeypatch.setitem(app.config, setting, free_port() if value is None else value)
    loop.turn()
    since, why = outage()
    assert reason in why
    clock.shift(60)
    loop.turn()
    assert (outage()[0], caplog.text.count(reason)) == (since, 1)
    app.config[setting] = works
    clock.shift(60)
    caplog.set_level(logging.INFO)
    loop.turn()
    assert (outage(), len(cases())) == (None, 1)
    assert "wird wieder gelesen" in caplog.text


def test_a_server_without_encryption_or_with_xoauth2_alone_gets_no_password(app, certificate, monkeypatch):
    kinds = (
        ({"config_class": imap_server.XOAuth2Config}, "XOAUTH2. Das wird nicht unterstützt."),
        (
            {"config_class": imap_server.PlainConfig, "starttls": True},
            "bietet keine Verschlüsselung an",
        ),
    )
    for options, reason in kinds:
        with imap_server.listening(certificate(), **options) as server, app.app_context():
            for name, value in imap_server.settings(server).items():
                monkeypatch.setitem(app.config, name, value)
            with pytest.raises(inbox.InboxFault, match=reason):
                inbox.count_mails()


def test_of_several_hosts_one_reads_the_mailbox_in_a_minute(imap, loop, app, cases, clock):
    loop.turn()
    imap.add(written())
    other = Loop(app, outbox.INBOX_LOOP, inbox.fetch_if_due)
    clock.shift(59)
    other.turn()
    assert cases() == []
    clock.shift(1)
    other.turn()
    assert len(cases()) == 1


def test_a_mail_that_cannot_be_stored_stays_and_does_not_stop_the_next(imap, fetch, cases, monkeypatch, caplog):
    receive = support_mail.receive

    def fail(tx, mail):
        if mail.subject == "Fehler":
            raise ZeroDivisionError(mail.text)
        return receive(tx, mail)

    with monkeypatch.context() as patched:
        patched.setattr(support_mail, "receive", fail)
        imap.add(written("geheim", subject="Fehler"), written())
        assert fetch() == {Effect.CASE: 1}
    assert (imap.count(), "ZeroDivisionError" in caplog.text, "geheim" in caplog.text) == (1, True, False)
    assert fetch() == {Effect.CASE: 1}
    assert len(cases()) == 2


def test_a_mail_that_fails_again_and_again_is_moved_and_a_case_names_it(imap, fetch, texts, monkeypatch, backend):
    def fail(tx, mail):
        raise ZeroDivisionError

    monkeypatch.setattr(support_mail, "receive", fail)
    mail = written()
    imap.add(mail)
    for _round in range(inbox.ROUNDS):
        assert (fetch(), imap.count()) == ({}, 1)
    assert (fetch(), imap.count(), imap.count("kmzportal")) == ({Effect.CASE: 1}, 0, 1)
    assert texts() == ["Eine E-Mail konnte nicht gelesen werden. Sie liegt im Postfach im Ordner „kmzportal“."]
    imap.add(mail)
    assert (fetch(), len(texts()), backend.mails()) == ({Effect.KNOWN: 1}, 1, [])


# Hostile mails

HEAD = b"From: Eva <eva@web.de>\r\nMessage-ID: <eva@web.de>\r\n"
PART = b"--x\r\nContent-Type: text/plain\r\n\r\nZeile\r\n"


def nested(depth, boundary=b"boundary=", lines=0):
    opened = (
        b"Content-Type: multipart/mixed; %bb%d\r\n\r\n--b%d\r\n" % (boundary, level, level) for level in range(depth)
    )
    return HEAD + b"".join(opened) + b"\r\nzu tief" + b"\r\nx" * lines


def parts(headers, body=b"Zeile"):
    one = b"--x\r\n" + headers + b"\r\n\r\n" + body + b"\r\n"
    return HEAD + b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + one * (SIZE_READ // len(one))


def html(text):
    return HEAD + b"Content-Type: text/html; charset=utf-8\r\n\r\n" + text.encode()


#: 7,000 letters that decode to as many: the codec needs quadratic time.
PUNYCODE = b"\r\n ".join(b"=?punycode?q?" + b"z" * min(60, 7000 - at) + b"?=" for at in range(0, 7000, 60))
HOSTILE = {
    "nothing": (b"", "keinen Text"),
    "10,000 parts": (HEAD + b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + PART * 10_000, "Zeile\nZeile"),
    "nested 40 times": (nested(40), "zu tief"),
    "nested 40 times in 10 MB": (nested(40, lines=3_000_000), "zu tief"),
    "nested 300 times, the boundary in pieces": (nested(300, b"boundary*0=", 3_000_000), "zu tief"),
    "nested 300 times, a blank after boundary": (nested(300, b"Boundary =", 3_000_000), "zu tief"),
    "nested 900 times": (nested(900, lines=3_000_000), "gekürzt"),
    "forwarded 5,000 times": (HEAD + b"Content-Type: message/rfc822\r\n\r\n" * 5_000, UNREADABLE),
    "1 MB of parameters": (HEAD + b'Content-Type: text/plain; "' + b";" * 2**20 + b"\r\n\r\nText", "Text"),
    "folded parameters": (HEAD + b"Content-Type: text/plain" + b";;;;\r\n " * 2**18 + b"\r\n\r\nText", "Text"),
    "parameters between bare CR": (
        b"From: eva@web.de\rContent-Type: text/plain" + b";a" * 200_000 + b"\r\rText",
        "Text",
    ),
    "10 MB of headers": (HEAD + b"A: b\r\n" * (SIZE_READ // 6) + b"\r\nText", "gekürzt"),
    "10 MB of a bounce": (HEAD + b"Content-Type: message/delivery-status\r\n\r\n" + b"A: b\n\n" * SIZE_READ, "gekürzt"),
    "10 MB of HTML": (parts(b"Content-Type: text/html", b"<b>Zeile</b><br>" * 10_000), "Zeile\nZeile"),
    "10 MB of Punycode": (parts(b"Content-Type: text/plain; charset=punycode", b"b" * 200_000), "bbb"),
    "200-KB-of-Punycode": (HEAD + b"Content-Type: text/plain; charset=punycode\r\n\r\n" + b"9" * 200_000, "999"),
    "open brackets": (b"From: " + b"(" * 1_500 + b"eva@web.de\r\n\r\nText", UNREADABLE),
    "unknown charset": (HEAD + b"Content-Type: text/plain; charset=klingon\r\n\r\nf\xc3\xbcr", "für"),
    "charset that is no text": (HEAD + b"Content-Type: text/plain; charset=zlib\r\n\r\nText", "Text"),
    "wrong charset": (HEAD + b"Content-Type: text/plain; charset=utf-8\r\n\r\nf\xfcr alle", "f�r alle"),
    "broken base64": (HEAD + b"Content-Transfer-Encoding: base64\r\n\r\n%%%=A", "%%%=A"),
    "no boundary": (HEAD + b"Content-Type: multipart/mixed\r\n\r\nohne Grenze", ""),
    "control characters": (HEAD + b"\r\na\x00b\x07\xe2\x80\xaec\xed\xb2\x80", "abc"),
    "scripts": (html("<script>alert(1)</script><style>p {}</style><p>Guten&nbsp;Tag<br>Frau"), "Guten Tag\nFrau"),
    "open script": (html("<p>Text<script>alert(1)"), "Text"),
    **{
        f"200 KB of {tag}": (html(f"Text<br>{tag * (200_000 // len(tag))}"), "Text")
        for tag in ("<", "</", "<!", "<?", "<!--", "<a ", "<a b='", "<b> ", "<script>", "</script", "<![CDATA[", "&#")
    },
    "1 MB subject": (HEAD + b"Subject: " + b"x" * 2**20 + b"\r\n\r\nText", "Text"),
    "1 MB encoded subject": (HEAD + b"Subject: " + b"=?utf-8?b?w7w=?= " * 2**16 + b"\r\n\r\nText", "Text"),
    "encoded-words-without-end": (
        HEAD
        + b"Content-Type: multipart/report; boundary=x\r\n\r\n--x\r\nContent-Type: message/delivery-status\r\n\r\n"
        + (b"Action: " + b"=??q?a" * 3_300 + b"\r\n\r\n") * 12,
        "",
    ),
    "headers-in-Punycode": (
        b"From: "
        + PUNYCODE
        + b" <eva@web.de>\r\n"
        + b"".join(
            name + b": " + PUNYCODE + b"\r\n" for name in (b"Subject", b"Precedence", b"Auto-Submitted", b"References")
        )
        + b"\r\nText",
        "Text",
    ),
    "broken subject": (HEAD + b"Subject: =?klingon?b?w7w=?= =?utf-8?b?w?=\r\n\r\nText", "Text"),
    "two senders": (b"From: a@web.de, b@web.de\r\n\r\nText", "Text"),
    "sender with a second line": (b"From: =?utf-8?q?Eva=0D=0ABcc=3A_x?= <eva@web.de>\r\n\r\nText", "Text"),
    "no headers": (b"\r\n\r\nText", "Text"),
    "a report without fields": (
        HEAD
        + b"Content-Type: multipart/report; boundary=x\r\n\r\n--x\r\nContent-Type: message/delivery-status\r\n\r\n",
        "",
    ),
    "20 MB": (HEAD + b"\r\n" + b"Zeile\r\n" * 3_000_000, "Zeile"),
}


@pytest.mark.parametrize(("raw", "text"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_mail_is_read_in_bounded_time_and_length(raw, text):
    started = time.process_time()
    mail = parse(raw[:SIZE_READ], "mx.kmz.example")
    assert time.process_time() - started < (2 if len(raw) < 300_000 else 5)
    assert text in mail.text
    assert len(mail.subject) <= 200 and len(mail.text) < 21_000 and len(mail.name) <= 100
    every = f"{mail.subject}{mail.name}{mail.text}{mail.sender}{mail.attachments}"
    assert "\x00" not in every and "alert" not in every and "\n" not in mail.subject + mail.name
    every.encode()


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("10 MB of headers", 50_000),
        ("10 MB of a bounce", 50_000),
        ("nested 900 times", 50_000),
        ("1 MB of parameters", 1_200),
        ("folded parameters", 1_200),
        ("parameters between bare CR", 1_200),
    ],
)
def test_the_parser_gets_only_so_many_bytes_of_a_mail_that_costs_it_more_than_its_length(name, most, monkeypatch):
    given, parser = [], incoming.message_from_bytes
    monkeypatch.setattr(incoming, "message_from_bytes", lambda raw: given.append(raw) or parser(raw))
    parse(HOSTILE[name][0][:SIZE_READ], "mx.kmz.example")
    assert 0 < len(given[0]) <= most


@pytest.mark.parametrize(("source", "text"), [
    (  # Apple Mail
        '<html><head><meta charset="utf-8"></head><body style="overflow-wrap: break-word;">Guten Tag,<div><br></div>'
        "<div>ich brauche <b>neue</b> Zugangs<i>daten</i>&nbsp;für\n  <a href='https://edupool.de?a=1&amp;b=2'>edupool"
        "</a>.</div><div><br></div><div>Grüße<br>Eva</div>\n<blockquote><div>Am 2.12. schrieb Jo</div></blockquote>"
        "Ende</body></html>",
        "Guten Tag,\n\nich brauche neue Zugangsdaten für edupool.\n\nGrüße\nEva\nAm 2.12. schrieb Jo\nEnde",
    ),
    (  # Outlook
        '<html xmlns:o="urn:x"><head><!--[if !mso]><style>v\\:* {x}</style><![endif]--><title>Neu</title><style><!--\n'
        "p > a {margin:0}\n--></style></head><body lang=DE><p class=MsoNormal>Guten Tag,<o:p></o:p></p>\r\n"
        "<p class=MsoNormal><o:p>&nbsp;</o:p></p>\r\n<![if !supportLists]><p class=MsoNormal>1 &lt; 2 und 3 > 2"
        "<o:p></o:p></p><![endif]><TABLE><TR><TD>Schule</TD><TD>GMS</TD></TR></TABLE><!--> <p>Eva</p></body></html>",
        "Guten Tag,\n\n1 < 2 und 3 > 2\nSchule GMS\nEva",
    ),
    ("<p>Es fehlt:</p><ul><li>Passwort</li><li>Adresse</li></ul><p>Eva</p>", "Es fehlt:\nPasswort\nAdresse\nEva"),
], ids=["Apple Mail", "Outlook", "list"])  # fmt: skip
def test_html_is_read_as_its_text_line_by_line(source, text):
    assert parse(html(source), "").text == text


def test_hostile_mails_stop_no_other(imap, fetch, cases, texts):
    names = ("10,000 parts", "nested 40 times", "charset that is no text", "control characters", "1 MB subject")
    imap.add(HOSTILE["open brackets"][0])
    assert (fetch(), imap.count()) == ({Effect.NONE: 1}, 0)
    imap.add(*(HOSTILE[name][0].replace(b"<eva@", b"<%d@" % number) for number, name in enumerate(names)))
    imap.add(written("Nach allen anderen"))
    assert fetch() == {Effect.CASE: 6}
    assert len(cases()) == 6
    assert texts()[-1].endswith("Nach allen anderen")
    assert imap.count() == 0


def test_attachments_are_named_and_not_opened():
    attached = (
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + PART
        + b"--x\r\nContent-Type: application/zip; name=bombe.zip\r\n\r\nPK\r\n"
        + b"--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: geheim\r\n\r\nweitergeleitet\r\n"
        + b"--x\r\nContent-Disposition: attachment; filename*=utf-8''gr%C3%BC%C3%9Fe.txt\r\n\r\n"
        + b"in der Datei\r\n--x--\r\n"
    )  # fmt: skip
    mail = parse(HEAD + attached, "")
    assert (mail.text, mail.attachments) == ("Zeile", ("bombe.zip", "message/rfc822", "grüße.txt"))


# Evidence

AUTH = "Authentication-Results"


@pytest.mark.parametrize("head", [
    b"X-Note: a\rFrom: Eva <eva@web.de>\r\n",
    b"X-Note: a\rFrom: Eva <eva@web.de>\r\rText\r\n",
    b"From : Eva <eva@web.de>\r\n",  # left out by the parser, as if it were a postmark
    *(b"From: Eva <eva@web.de>\r\n" + line + b"\r\n" for line in (b"X-Note : a", b"kein Feld", b"X\xe4: a", b"X\0: a")),
])  # fmt: skip
def test_where_servers_may_read_other_headers_than_the_parser_no_mail_counts_as_proven(head):
    """The mail server may have checked another From than the one that is shown."""
    results = b"Authentication-Results: mx.kmz.example; dmarc=pass header.from=web.de\r\n"
    assert parse(results + b"From: eva@web.de\r\n\r\nText\rText", "mx.kmz.example").dmarc == "pass"
    assert parse(b"From: eva@web.de\r\n" + results + b"X: a\r\n \xe4\r\n\r\nText", "mx.kmz.example").dmarc == "pass"
    for much in (b"x" * 20_000, "ä".encode() * 20_000, "ä".encode() * 9_900 + b"x" * 10_100):  # cut before the second
        cut = b"From: eva@web.de (" + much + b"), dieb@web.de\r\n\r\nText"
        assert parse(results + cut, "mx.kmz.example").dmarc == ""
    assert parse(results + head + b"From: dieb@web.de\r\n\r\nText", "mx.kmz.example").dmarc == ""


@pytest.mark.parametrize(("results", "dmarc"), [
    (["mx.kmz.example; spf=pass smtp.mailfrom=web.de; dmarc=pass (p=none) header.from=web.de"], "pass"),
    (["MX.kmz.example 1;\r\n dmarc=PASS header.from=web.de"], "pass"),
    (["mx.kmz.example; dmarc=fail (p=reject) header.from=web.de"], "fail"),
    (["mx.kmz.example; dkim=pass header.b=\"a/b+\"; dmarc=pass header.from=web.de"], "pass"),
    (["mx.kmz.example; dmarc=pass header.from=other.example"], ""),
    (["mx.kmz.example; dmarc=pass"], ""),
    (['mx.kmz.example; spf=pass (mx: of "a);dmarc=pass header.from=web.de;x=("@e.example) x=y; dmarc=fail'], ""),
    (['mx.kmz.example; spf=pass (mx: of "a);dmarc=pass header.from=web.de;x=("@e.example) x=y'], ""),
    (["mx.kmz.example; spf=pass (of a);dmarc=pass header.from=web.de;x=(@e.example) x=y; dmarc=fail"], ""),
    ([r"mx.kmz.example; spf=pass (of a\);dmarc=pass header.from=web.de @e.example) x=y"], ""),
    (["mx.kmz.example; spf=pass ((of a);dmarc=pass header.from=web.de;x=(@e.example)) x=y"], ""),
    (["mx.kmz.example; spf=pass"], ""),
    (["mx.other.example; dmarc=pass header.from=web.de"], ""),
    (["mx.kmz.example.other.example; dmarc=pass header.from=web.de"], ""),
    (["mx.kmz.example; spf=none (; dmarc=pass header.from=web.de)"], ""),
    (['mx.kmz.example; spf=none smtp.mailfrom="; dmarc=pass "@web.de'], ""),
    (["mx.kmz.example; dmarc=fail", "mx.kmz.example; dmarc=pass header.from=web.de"], "fail"),
    (["mx.kmz.example; none", "mx.kmz.example; dmarc=pass header.from=web.de"], ""),
])  # fmt: skip
def test_only_the_newest_dmarc_result_of_the_offices_own_server_counts(results, dmarc):
    headers = "".join(f"{AUTH}: {result}\r\n" for result in results)
    raw = headers.encode() + written()
    assert parse(raw, "mx.kmz.example").dmarc == dmarc
    assert parse(raw, "").dmarc == ""


def test_a_mail_with_two_senders_proves_none():
    raw = f"{AUTH}: mx.kmz.example; dmarc=pass\r\nFrom: dieb@web.de\r\n".encode() + written()
    assert parse(raw, "mx.kmz.example").dmarc == ""


@pytest.mark.parametrize(("header", "value"), [
    ("Auto_Submitted", "auto-replied; owner"), ("Precedence", "bulk"), ("Precedence", "List"), ("Precedence", "junk"),
    ("List_Id", "<eltern.schule.example>"), ("Return_Path", "<>"),
])  # fmt: skip
def test_automatic_mail_is_recognised(header, value):
    assert parse(written(**{header: value}), "").automatic
    assert not parse(written(Auto_Submitted="no", Return_Path="<erika.privat@web.de>"), "").automatic


def test_whose_mail_wants_no_automatic_answer_is_a_person():
    """Mail servers of schools write this header into all mails."""
    mail = parse(written(X_Auto_Response_Suppress="OOF, AutoReply"), "")
    assert (mail.automatic, mail.no_receipt) == (False, True)
    assert not parse(written(), "").no_receipt


@pytest.mark.parametrize("sender", ["MAILER-DAEMON@web.de", "Postmaster <postmaster@web.de>"])
def test_mail_of_a_mail_server_is_automatic(sender):
    assert parse(written(sender=sender), "").automatic


# Bounces

OURS = "<0123456789abcdef0123456789abcdef@kmz-cw.de>"


def report(status="5.1.1", diagnostic="smtp; 550 5.1.1 <erika@web.de>: Recipient address rejected", action="failed"):
    return (
        "From: Mail Delivery System <MAILER-DAEMON@mx.web.de>\r\nReturn-Path: <>\r\nAuto-Submitted: auto-replied\r\n"
        "Subject: Undelivered Mail Returned to Sender\r\nMessage-ID: <bounce@mx.web.de>\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="x"\r\n\r\n'
        "--x\r\n\r\nI'm sorry to have to inform you that your message could not be delivered.\r\n"
        "--x\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.web.de\r\n\r\n"
        f"Final-Recipient: rfc822; erika@web.de\r\nAction: {action}\r\nStatus: {status}\r\n"
        f"Diagnostic-Code: {diagnostic}\r\n\r\n"
        f"--x\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: {OURS}\r\nSubject: Ihr Link\r\n--x--\r\n"
    ).encode()


@pytest.mark.parametrize(("status", "diagnostic", "code", "reason"), [
    ("5.1.1", "smtp; 550 5.1.1 unknown", 550, "Adresse unbekannt"),
    ("5.2.2", "smtp; 552 5.2.2 over quota", 552, "Postfach voll oder gesperrt"),
    ("5.7.1", "smtp; 554 5.7.1 spam", 554, "Der Mailserver weist die E-Mail ab"),
    ("4.4.7", "", None, "Der Mailserver weist die E-Mail ab"),
    ("5.0.0", "smtp; 550 no such user", 550, "Der Mailserver weist die E-Mail ab"),
])  # fmt: skip
def test_a_report_names_the_mail_that_came_back_and_why(status, diagnostic, code, reason):
    bounce = parse(report(status, diagnostic), "").bounce
    assert (list(bounce.message_ids), bounce.code, bounce.reason) == ([OURS], code, reason)


def test_a_report_is_automatic_whatever_its_headers_say_and_one_that_a_person_forwards_is_not():
    """The report of a mail that is deleted by now would otherwise open a case, and its server get a receipt."""
    raw = report().replace(b"Return-Path: <>\r\nAuto-Submitted: auto-replied\r\n", b"")
    raw = raw.replace(b"MAILER-DAEMON@mx.web.de", b"MicrosoftExchange329e71@web.de")
    assert parse(raw, "").automatic
    forwarded = raw.replace(b"multipart/report; report-type=delivery-status", b"multipart/mixed")
    assert not parse(forwarded, "").automatic


@pytest.mark.parametrize(("text", "code", "reason"), [
    (f"<erika@web.de>: no mailbox by that name. (#5.1.1)\n\nMessage-ID: {OURS}", None, "Adresse unbekannt"),
    (f"  erika@web.de\n    550 No such user\n\nMessage-ID: {OURS}", 550, "Adresse unbekannt"),
    (f"  erika@web.de\n    Unrouteable address\n\nMessage-ID: {OURS}", None, "Der Mailserver weist die E-Mail ab"),
])  # fmt: skip
def test_a_bounce_in_words_is_recognised(text, code, reason):
    bounce = parse(written(text, "Mail Delivery System <mailer-daemon@web.de>", "failure notice"), "").bounce
    assert (list(bounce.message_ids), bounce.code, bounce.reason) == ([OURS], code, reason)


@pytest.mark.parametrize("raw", [
    report(action="delayed"),
    written(f"Message-ID: {OURS}", "mailer-daemon@web.de", "Warning: message delayed 24 hours"),
    written("Ich bin im Urlaub.", "mailer-daemon@web.de", In_Reply_To=OURS),
    written(f"Message-ID: {OURS}", "erika@web.de"),
])  # fmt: skip
def test_a_delay_an_absence_or_a_quotation_is_no_bounce(raw):
    assert parse(raw, "").bounce is None


def test_a_mail_that_came_back_is_marked_and_the_address_shown_as_unreachable(imap, fetch, erika, backend):
    mail = backend.run(lambda tx, one: tx.send("password_changed", one), erika)
    backend.update(mail, message_id=OURS, state="sent", settled_at=mail.queued_at)
    imap.add(report())
    assert fetch() == {Effect.BOUNCE: 1}
    with backend.transaction() as tx:
        assert outbox.mail_story(tx.session.get(type(mail), mail.id), tx.now) == [
            "zurückgekommen: Adresse unbekannt (550)"
        ]
        assert outbox.came_back(tx.session, erika.email_canonical).id == mail.id
        later = tx.send("password_changed", tx.session.get(type(erika), erika.id))
        later.state = "sent"
        tx.session.flush()
        assert outbox.came_back(tx.session, erika.email_canonical) is None
    assert backend.actions() == ["mail.bounced"]


def test_no_charset_that_a_mail_makes_up_is_looked_up():
    """Python keeps each unknown name in memory for good."""
    looked_up = []
    codecs.register(looked_up.append)
    try:
        for header in (
            "plain; charset=xq1",
            "plain; charset*=xq2''xq3",
            "plain; name*=xq4''a",
            "plain; name==?xq5?q?a?=",
        ):
            mail = HEAD + b"Subject: =?xq6?q?a?=\r\nContent-Type: text/" + header.encode() + b"\r\n\r\nText"
            assert incoming.parse(mail, "").message_id
    finally:
        codecs.unregister(looked_up.append)
    assert looked_up == []
