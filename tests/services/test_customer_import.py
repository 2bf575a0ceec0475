"""Customers as CSV: what a file is refused for, what an import changes and leaves alone, and the export."""

import csv
import io
import re

import pytest
from sqlalchemy import event, select

from kmzportal import mail_address
from kmzportal.db import db
from kmzportal.models import AccountLink, AuditEvent, Customer, LinkKind, Throttle
from kmzportal.server import worker
from kmzportal.services import account_status, accounts, audit_chain, customer_file, customer_import, desk
from kmzportal.services import links as link_service
from kmzportal.services.customer_file import COLUMNS, FileRefused, guard, read_file, unguard
from kmzportal.services.passwords import hash_password
from kmzportal.services.refusals import ChangedMeanwhile
from kmzportal.services.transaction import transaction
from tests import people

HEADER = "Kundennummer;Anrede;Vorname;Nachname;E-Mail;Schule;Straße;PLZ;Ort;Telefon"
NAME = "Müller-Lüdenscheidt"
EMAIL = "anneliese@schule.example"


def row(number="1001", last_name=NAME, email=EMAIL, town="Calw", **cells):
    """Return a line of the file: Anneliese's, except for these cells."""
    line = io.StringIO()
    cells |= {"number": number, "last_name": last_name, "email": email, "town": town}
    csv.writer(line, delimiter=";").writerow([cells.get(field, "") for field in COLUMNS])
    return line.getvalue().removesuffix("\r\n")


def nth(n, **cells):
    """Return the line of the n-th of many customers."""
    return row(**{"number": str(1000 + n), "email": f"person{n}@schule.example"} | cells)


@pytest.fixture
def load(app, tmp_path):
    """Import these lines, or these bytes; return the report: for each kind, lines and remarks.

    Afterwards the audit trail must be whole: bulk statements write unsigned events.
    """

    def load(*lines, header=HEADER, encoding="utf-8", data=None):
        path = tmp_path / "kunden.csv"
        path.write_bytes(data or "\r\n".join((header, *lines, "")).encode(encoding))
        rows, _ = read_file(path)
        customer_file.check(rows)
        with app.app_context():
            customer_import.compare(db.session(), rows)
            if not any(row.fault for row in rows):
                with transaction("console", lock_now=False) as tx:
                    customer_import.write(tx, customer_import.prepare(rows))
        report = customer_import.report(rows)
        return {kind: [f"{row.line} {text}".strip() for row, text in found] for kind, found in report.items() if found}

    yield load
    with app.app_context():
        worker.chain_events()
        assert audit_chain.verify(db.session(), app.config).fault is None


@pytest.fixture
def find(backend):
    return lambda number="1001": backend.read(select(Customer).where(Customer.number == number))[0]


@pytest.fixture
def known(load, find):
    """Anneliese, as the last import wrote her."""
    assert load(row()) == {"Neu": ["2"]}
    return find()


@pytest.fixture
def change(backend):
    """Let a customer change data in the portal."""
    return lambda person, **data: backend.run(accounts.change_data, person, data, actor=f"customer:{person.id}")


@pytest.fixture
def export(app):
    def export():
        out = io.BytesIO()
        with app.app_context():
            customer_file.export_customers(db.session(), out, lambda _: None)
        return out.getvalue()

    return export


NO_CSV = "Das ist keine CSV-Datei. Speichern Sie sie in Excel als „CSV UTF-8"
QUOTES = "Zeile 3: Die Anführungszeichen sind nicht richtig geschlossen"


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        *((data, "Die Datei ist leer.") for data in (b"", b"\xef\xbb\xbf", b"\r\n\r\n", b";;;\r\n")),
        *((data, NO_CSV) for data in (b"\xd0\xcf\x11\xe0\0", "Nachname\nÄ".encode("utf-16"), b"a\n\x81\x8d")),
        (f"{HEADER}\r\n{nth(1)}\r\n".encode() + b"2;;;Gro\xdf;", "Zeile 3: Ein Zeichen ist beschädigt."),
        (b"\xef\xbb\xbfa\n\nGro\xdf", "Zeile 3: Ein Zeichen ist beschädigt."),
        (HEADER.replace("Telefon", "Telephon"), "Zeile 1: Die Spalte „Telephon“ ist unbekannt. Meinten Sie Telefon?"),
        (HEADER.replace("E-Mail", "Mailadresse"), "Meinten Sie E-Mail?"),
        (HEADER + ";Passwort", "Die Spalte „Passwort“ ist unbekannt."),
        (HEADER.replace("Nachname;", ""), "Die Spalte Nachname fehlt."),
        (HEADER + ";Ort", "Die Spalte Ort steht zweimal da."),
        (HEADER + ";Bemerkung", "Die Spalte „Bemerkung“ ist unbekannt. Mit --ignore-extra bleibt sie weg."),
        *(
            ("\r\n".join((HEADER, nth(1), f'2;;;"Zeile\r\neins";p2@schule.example;;;;{cell};', nth(3))), QUOTES)
            for cell in ('"Calw', '"Calw" am Berg', "x" * 140_000)
        ),
    ],
)
def test_a_file_is_refused_with_line_and_remedy(tmp_path, data, fault):
    path = tmp_path / "kunden.csv"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    with pytest.raises(FileRefused, match=re.escape(fault)):
        read_file(path)


def test_a_missing_file_a_folder_and_a_large_file_are_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(type(tmp_path), "read_bytes", lambda _: pytest.fail("it was read"))
    large, missing = tmp_path / "large.csv", tmp_path / "missing.csv"
    with large.open("wb") as file:
        file.truncate(200_000_000)
    for path, reason in (
        (missing, f"Die Datei {missing} gibt es nicht."),
        (large, "Die Datei ist 200 MB groß. Möglich sind 60 MB."),
        (tmp_path, f"{tmp_path} ist keine Datei."),
    ):
        with pytest.raises(FileRefused, match=re.escape(reason)):
            read_file(path)


CONTROL = "Nachname: Zeilenumbruch oder Steuerzeichen"
LONG = (
    "2 Vorname: 101 Zeichen, möglich sind 100; E-Mail: 600 Zeichen, möglich sind 508; PLZ: 21 Zeichen, möglich sind 20"
)
UMLAUT = nth(1, email="Erika@schule-müller.example")
REFUSED = [
    ([nth(1) + ";x", "1002;Frau", nth(3)], ["2 11 Zellen statt 10", "3 2 Zellen statt 10"]),
    ([nth(1), nth(2), nth(1, email="andere@schule.example")], ["4 Kundennummer steht schon in Zeile 2"]),
    ([nth(1), nth(1)], ["3 Kundennummer steht schon in Zeile 2; E-Mail steht schon in Zeile 2"]),
    ([UMLAUT, nth(2, email="ERIKA@Schule-Müller.example")], ["3 E-Mail steht schon in Zeile 2"]),
    ([UMLAUT, nth(2, email="erika@xn--schule-mller-klb.example")], ["3 E-Mail steht schon in Zeile 2"]),
    *(
        ([nth(1), row(email=text)], [f"3 E-Mail: „{text}“ ist keine vollständige Adresse"])
        for text in ("erika", "erika@schule..example", "a b@c.example")
    ),
    *(([nth(1), nth(2, last_name=f"Groß{char}")], [f"3 {CONTROL}"]) for char in "\n\x1b\x85\u2028"),
    ([nth(1, last_name="Groß\r\nBcc: x@y.example"), nth(2, email="")], [f"2 {CONTROL}", "4 E-Mail fehlt"]),
    ([row(number="", last_name=" ", email="")], ["2 Kundennummer fehlt; Nachname fehlt; E-Mail fehlt"]),
    ([row(first_name="x" * 101, postcode="7" * 21, email="a" * 600)], [LONG]),
]


@pytest.mark.parametrize(("lines", "refused"), REFUSED)
def test_a_refused_row_is_reported_and_no_row_is_imported(load, backend, lines, refused):
    assert load(*lines)["Abgelehnt"] == refused
    assert backend.read(select(Customer)) == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_umlauts_are_kept_in_each_encoding_of_excel(load, find, encoding):
    load(row(street="Straße des 3. Oktober", school="Grundschule „Am Öschle“ – 5 €"), encoding=encoding)
    assert (find().last_name, find().school) == (NAME, "Grundschule „Am Öschle“ – 5 €")


def test_columns_may_be_in_any_order_and_spelling_between_commas_after_blank_lines(load, find):
    data = b'\n\ne - mail, NACHNAME ,kundennummer\na@schule.example,"Klein, geb. Y",7\n\n,,\n'
    assert load(data=data) == {"Neu": ["4"]}
    assert (find("7").last_name, find("7").town) == ("Klein, geb. Y", "")


def test_a_new_customer_has_no_password_and_a_password_set_later_stays(load, known, find, backend):
    assert (known.password_hash, known.version, known.created_at is not None) == (None, 1, True)
    assert not [guess for guess in ("", "changeme", "1001") if backend.log_in(known.email, guess)]
    backend.run(accounts.set_password, known, hash_password(people.NEW_PASSWORD))
    load(row(town="Nagold", email="neu@schule.example"))
    assert backend.log_in("neu@schule.example", people.NEW_PASSWORD)


def test_a_change_is_in_the_history_and_in_the_search(load, known, find, backend):
    assert load(nth(2), row(town="Nagold", phone="+49 7051 1")) == {
        "Neu": ["2"],
        "Geändert": ["3 Ort: „Calw“ → „Nagold“; Telefon: „“ → „+49 7051 1“"],
    }
    assert (find().town, find().phone) == ("Nagold", "+49 7051 1")
    assert all(word in find().search for word in (" 1001 ", "muller ludenscheidt", "nagold", "070511"))
    events = {(event.action, event.customer_id): event for event in backend.read(select(AuditEvent))}
    assert {event.actor for event in events.values()} == {"console"}
    assert [action for action, _ in events].count("customer.imported") == 2
    assert events["data.imported", known.id].details == {"fields": ["town", "phone"]}


def test_after_an_import_moved_the_address_an_objection_of_before_does_not_weaken_one_of_that_address(
    load, known, find, backend, as_clerk
):
    """Within days of an objection, whoever talks a clerk into an address must not keep the account (decision 60)."""
    backend.run(accounts.request_address_change, known, "dieb@evil.example")
    backend.run(lambda tx, link: accounts.object_to_change(tx, link, tx.now), backend.links(LinkKind.OBJECTION)[-1])
    as_clerk(desk.unlock, known, "geklärt", "callback")
    load(row(email="neu@schule.example"))
    as_clerk(desk.correct_address, known, find().version, "dieb@evil.example", "callback", "")
    link = backend.links(LinkKind.DESK)[-1]
    seen, password = find().version, hash_password(people.NEW_PASSWORD)
    backend.run(lambda tx, link: accounts.register(tx, link, tx.now, seen, {}, password), link)
    assert find().email == "dieb@evil.example"
    (objection,) = [link for link in backend.links(LinkKind.OBJECTION) if link.email == "neu@schule.example"][-1:]
    backend.run(lambda tx, link: accounts.object_to_change(tx, link, tx.now), objection)
    assert find().locked_at and find().password_hash is None


def test_the_same_file_again_changes_nothing_even_where_the_customer_did(load, known, change, find):
    assert load(row()) == {"Unverändert": ["2"]}
    assert find().version == known.version
    change(known, town="Nagold")
    assert load(row()) == {"Unverändert": ["2"]}
    assert find().town == "Nagold"


def test_a_field_that_both_changed_is_a_konflikt_until_they_agree(load, known, change, find):
    change(known, town="Nagold")
    konflikt = ["2 Ort: hier „Nagold“, in der Datei „Wildberg“"]
    assert load(row(town="Wildberg", phone="1")) == {
        "Geändert": ["2 Telefon: „“ → „1“"],
        "Konflikt": konflikt,
    }
    assert load(row(town="Wildberg", phone="1")) == {"Konflikt": konflikt}
    assert (find().town, find().phone) == ("Nagold", "1")
    assert load(row(town="Nagold", phone="1")) == {"Unverändert": ["2"]}
    assert load(row(town="Wildberg", phone="1")) == {"Geändert": ["2 Ort: „Nagold“ → „Wildberg“"]}


@pytest.mark.parametrize("moved", [{"school": "GMS"}, {"email": "a@dieb.example"}])
def test_what_a_customer_entered_here_vouches_for_nobody_once_the_office_keeps_it_as_well(
    app, load, find, backend, erika, moved
):
    """Konflikte are to be entered in the office's own program, so the next import contains them."""
    before = {"school": "GMS", "email": "a@dieb.example"}
    load(row(**before | dict.fromkeys(moved, "anders@schule.example")))
    backend.update(erika, school="GMS", imported={"school": "GMS"})
    backend.update(find(), **moved, **({"email_canonical": moved["email"]} if "email" in moved else {}))
    for again in range(2):
        assert load(row(**before)) == {"Unverändert": ["2"]}, again
        with app.app_context():
            assert not desk.number_suffices(db.session(), backend.read(erika), "erika@dieb.example")
    load(row(**before | dict.fromkeys(moved, "anders@schule.example")))
    load(row(**before))
    with app.app_context():
        assert desk.number_suffices(db.session(), backend.read(erika), "erika@dieb.example"), "the office moved it"


def test_whoever_changes_her_school_with_the_password_makes_the_kundennummer_suffice_for_no_address_there(
    app, load, find, change
):
    """It would outlast her next password, and after 30 days the desk is no longer told of the change."""
    load(row(school="Schule A", email="a@schule-a.example"), row("1002", email="b@schule-b.example", school="Schule B"))
    for school in ("Schule B", "Schule A"):
        change(find(), school=school)
        with app.app_context():
            assert not desk.number_suffices(db.session(), find(), "neu@schule-b.example")
    moved = row(school="Schule B", email="a@schule-a.example")
    load(moved, row("1002", email="b@schule-b.example", school="Schule B"))
    with app.app_context():
        assert desk.number_suffices(db.session(), find(), "neu@schule-b.example"), "the office moved her"


def test_a_school_that_the_office_copied_from_her_account_does_not_make_the_kundennummer_suffice(
    app, load, find, change
):
    load(row(school="Schule A", email="a@schule-a.example"), row("1002", email="b@schule-b.example", school="Schule B"))
    change(find(), school="Schule B")
    load(row(school="Schule B", email="a@schule-a.example"), row("1002", email="b@schule-b.example", school="Schule B"))
    with app.app_context():
        assert not desk.number_suffices(db.session(), find(), "neu@schule-b.example")


def test_a_customer_who_was_never_imported_only_gets_empty_fields_filled(load, max_, find):
    line = f"{max_.number};Musterfrau;{max_.email};07051 2"
    report = load(line, header="Kundennummer;Nachname;E-Mail;Telefon")
    assert report["Konflikt"] == ["2 Nachname: hier „Mustermann“, in der Datei „Musterfrau“"]
    saved = find(max_.number)
    assert (saved.last_name, saved.phone, saved.town) == ("Mustermann", "07051 2", max_.town), "no column, no change"


@pytest.mark.parametrize("number", ["1001", "1006"])
def test_an_import_is_refused_when_somebody_saves_meanwhile(app, load, backend, known, change, find, tmp_path, number):
    load(nth(5))
    path = tmp_path / "kunden.csv"
    path.write_text("\n".join((HEADER, nth(9), row(town="Nagold") if number == "1001" else nth(6))))
    rows, _ = read_file(path)
    customer_file.check(rows)
    with app.app_context():
        customer_import.compare(db.session(), rows)
        db.session.rollback()
    change(known, phone="07051 1")
    if number == "1006":
        backend.add(people.person(people.MAX | {"number": number}))
    staged = customer_import.prepare(rows)
    with pytest.raises(ChangedMeanwhile), app.app_context(), transaction("console", lock_now=False) as tx:
        customer_import.write(tx, staged)
    assert (find().town, find().phone) == ("Calw", "07051 1")
    assert "1009" not in backend.read(select(Customer.number))


def test_1500_customers_are_imported_and_pass_on_their_addresses_in_bulk_statements(load, find, backend, app):
    """Two swap theirs, and a new customer takes one that was given up."""
    statements = []
    with app.app_context():
        engine = db.engine

    def count(*facts):
        statements.append(facts[2])

    event.listen(engine, "after_cursor_execute", count)
    assert len(load(*(nth(n) for n in range(1500)))["Neu"]) == 1500
    owners = {0: 1, 1: 0} | {n: n + 1 for n in range(2, 1500)} | {1500: 2}
    report = load(*(nth(n, email=f"person{owner}@schule.example") for n, owner in owners.items()))
    event.remove(engine, "after_cursor_execute", count)
    assert (len(report["Geändert"]), len(report["Neu"])) == (1500, 1)
    assert len(statements) < 30
    for n in (0, 1, 1499, 1500):
        assert find(str(1000 + n)).email_canonical == f"person{owners[n]}@schule.example"
    assert find("2499").version == 2
    assert len(backend.actions()) == 3001


def test_failed_logins_at_an_address_end_when_an_import_gives_it_to_a_customer(load, known, backend):
    """They were counted while it was unknown: strangers, or she herself too early, would keep her out of it."""
    for address in ("neu@schule.example", "dritte@schule.example"):
        for _ in range(2):
            backend.log_in(address, "falsches passwort")
    assert load(row(email="neu@schule.example"))["Geändert"]
    assert [one.account for one in backend.read(select(Throttle))] == [
        backend.keys.fingerprint("dritte@schule.example")
    ]


@pytest.mark.parametrize(("email", "ended"), [("Anneliese@BW-Schule.example", "withdrawn"), (EMAIL.title(), None)])
def test_open_links_end_when_the_address_moves_but_not_for_a_new_spelling(load, known, find, backend, email, ended):
    with backend.transaction() as tx:
        for _ in range(2):
            link_service.issue(tx, LinkKind.RECOVERY, tx.session.get(Customer, known.id))
        used = tx.session.scalars(select(AccountLink)).first()
        used.ended_at, used.ended_as = tx.now, "redeemed"
        link_service.issue(tx, LinkKind.OBJECTION, tx.session.get(Customer, known.id))
        for _ in range(2):  # the second replaces the first, whose holder could renew it
            link_service.issue(tx, LinkKind.DESK, tx.session.get(Customer, known.id))
    assert load(row(email=email)) == {"Geändert": [f"2 E-Mail: „{EMAIL}“ → „{mail_address.parse(email)}“"]}
    assert find().email_canonical == email.lower()
    links = backend.read(select(AccountLink).order_by(AccountLink.issued_at, AccountLink.id))
    of_desk = [str(ended)] * 2 if ended else ["replaced", "None"]
    assert sorted(str(link.ended_as) for link in links) == sorted(["redeemed", str(ended), "None", *of_desk])


@pytest.mark.parametrize(
    "own",
    [
        {},
        {"email": "anneliese@privat.example"},
        {"first_name": "Anne"},
        {"first_name": ""},
        {"pending_email": "neumann@schule.example"},
    ],
)
@pytest.mark.parametrize(
    "theirs",
    [
        {"first_name": "Boris", "last_name": "Neumann", "email": "neumann@schule.example"},
        {"last_name": "Neumann", "email": "neumann@schule.example"},
        {"first_name": "Boris", "email": "neumann@schule.example"},
        {"first_name": "Boris", "last_name": "Neumann"},
    ],
    ids=lambda theirs: " ".join(theirs),
)
def test_of_a_number_that_went_to_another_person_nothing_is_imported(load, known, find, backend, theirs, own):
    """Who left would read address and telephone of the new teacher, with her own password."""
    load(row(first_name="Anneliese"))
    backend.update(find(), **own)
    before = find()
    for _ in range(2):
        assert load(row(**theirs, phone="07052 777")) == {"Konflikt": [f"2 {customer_import.OTHER_PERSON}"]}
        assert (find().name, find().email, find().phone) == (before.name, before.email, "")
    assert find().version == before.version


def test_what_an_import_changed_proves_nobody_for_thirty_days(load, known, find, backend):
    """Whoever rings has the lending counter enter his own telephone number first."""

    def changed():
        return backend.run(lambda tx, one: account_status.contact_changed(tx.session, one, tx.now), find())

    assert changed() is None
    load(row(phone="0171 666"))
    assert changed() is not None


def test_an_address_that_anyone_can_create_is_imported_with_a_warning(load, known, find):
    """Whoever talks the lending counter into it has the account after the next import."""
    moved = "anneliese77@gmx.de"
    assert load(row(email=moved))["Achtung"] == [f"2 {customer_import.TO_FREE_MAIL}"]
    assert find().email == moved
    assert "Achtung" not in load(row(email="anneliese@neue-schule.example"))


def test_that_warning_is_hidden_by_no_other_and_comes_first(load, known, find):
    """The caller can give a postcode without its zero as well."""
    load(row(number="K-8", email="bert@schule.example"))
    found = load(
        row(number="K-8", postcode="1067", email="bert@schule.example"), row(email="a@gmx.de", postcode="1067")
    )
    assert [one.partition("?")[0] for one in found["Achtung"]] == [
        f"3 {customer_import.TO_FREE_MAIL[:-1]}",
        "2 PLZ „1067“ hat vier Ziffern. Fehlt vorn eine 0",
    ] and "PLZ „1067“" in found["Achtung"][0]


def test_the_address_of_a_locked_account_is_not_moved_by_an_import(load, known, find, backend):
    """Its owner may have rung that somebody is in it; the desk moves it, after a check."""
    before = find().email
    backend.update(find(), locked_at=people.NOW)
    [conflict] = load(row(email="dieb@schule2.example", phone="07051 1"))["Konflikt"]
    assert "dieb@schule2.example" in conflict
    assert (find().email, find().phone) == (before, "07051 1")
    backend.update(find(), locked_at=None)
    load(row(email="dieb@schule2.example"))
    assert find().email == "dieb@schule2.example"


@pytest.mark.parametrize(
    ("changes", "warned"),
    [
        ({"last_name": "Neumann", "email": "anneliese.neumann@schule.example"}, True),
        ({"last_name": "Neumann"}, False),
        ({"first_name": "Anna"}, False),
        ({"first_name": "ANNELIESE", "last_name": "Mueller Lüdenscheidt", "email": EMAIL.capitalize()}, False),
        ({"email": "anneliese@neue-schule.example"}, False),
    ],
)
def test_who_has_a_new_last_name_and_address_with_the_same_first_name_is_imported_with_a_warning(
    load, known, find, changes, warned
):
    load(row(first_name="Anneliese"))
    report = load(row(**{"first_name": "Anneliese"} | changes))
    assert report.get("Achtung", []) == ([f"2 {customer_import.SAME_FIRST_NAME}"] if warned else [])
    assert {name: getattr(find(), name) for name in changes} == changes


def test_an_address_that_the_customer_confirms_here_stays_before_and_after(load, known, find, backend):
    with backend.transaction("clerk:1") as tx:
        tx.session.get_one(Customer, known.id).set_pending_email("neu@schule.example")
    assert load(row(email="neu@schule.example")) == {"Unverändert": ["2"]}
    conflict = ["2 E-Mail: hier „neu@schule.example“, in der Datei „dritte@schule.example“"]
    assert load(row(email="dritte@schule.example")) == {"Konflikt": conflict}
    assert find().email == EMAIL
    with backend.transaction() as tx:
        accounts.move_email(tx, tx.session.get(Customer, known.id))
    assert load(row()) == {"Unverändert": ["2"]}
    assert load(row(email="dritte@schule.example")) == {"Konflikt": conflict}
    assert find().email == "neu@schule.example"


@pytest.mark.parametrize("spell", [str, str.title])
def test_an_address_that_belongs_to_another_customer_is_refused(load, known, max_, backend, spell):
    fault = f"E-Mail gehört schon zu Kundennummer {max_.number}"
    assert load(row(email=spell(max_.email)))["Abgelehnt"] == [f"2 {fault}"]
    load(nth(2))
    assert load(nth(2), nth(7, email=spell(max_.email)), nth(8, email="nichts"), row()) == {
        "Unverändert": ["2", "5"],  # in the order of the file
        "Abgelehnt": [f"3 {fault}", "4 E-Mail: „nichts“ ist keine vollständige Adresse"],
    }
    assert len(backend.read(select(Customer))) == 3


def test_an_export_is_written_as_excel_reads_it(load, export):
    header = f"\ufeff{HEADER}\r\n".encode()
    assert export() == header
    load(row(phone="07051 1"))
    assert export() == header + f"1001;;;{NAME};{EMAIL};;;;Calw;07051 1\r\n".encode()


SIGNS = "=+-@＝＋－＠﹦﹢﹣﹫−"
GUARDED = [
    "=1+1",
    "+49 7051",
    "\t=1",
    "\r=1",
    "\0=1",
    "'=1",
    "''-2",
    "\u200b=1",
    " \u200d@x",
    "\n=1",
    "\u3000＝1",
    "\ufeff=1",
]


@pytest.mark.parametrize("text", [*GUARDED, *(f"{sign}1" for sign in SIGNS)], ids=ascii)
def test_a_formula_is_guarded_and_comes_back(text):
    assert (guard(text), unguard(guard(text))) == (f"'{text}", text)


def test_an_export_is_imported_as_unchanged(load, known, change, find, export, erika, juergen):
    odd = ["=1", "+4", "@home", "'=1", "''-2", "'t Hooft", 'sagt "ja"; und nein', "a,b", "Nguyễn 'x'", "'", "{{7*7}}"]
    load(*(nth(n, last_name=text, phone=text, number=f"{text}{n}") for n, text in enumerate(odd)))
    change(known, school="=1+1")
    assert [find(number).last_name for number in ("=10", "+41", "{{7*7}}10")] == ["=1", "+4", "{{7*7}}"]
    exported = export()
    assert b";'=1+1;" in exported
    assert load(data=exported) == {"Unverändert": [str(line) for line in range(2, 5 + len(odd))]}
    assert export() == exported


def test_a_missing_column_leaves_its_field_alone(load, known, find):
    load(f"1001;Müller;{EMAIL}", header="Kundennummer;Nachname;E-Mail")
    assert (find().last_name, find().town) == ("Müller", "Calw")
