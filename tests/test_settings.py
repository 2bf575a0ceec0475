"""Where settings come from, and what is said when they cannot be meant."""

import stat
from datetime import date

import pytest

from kmzportal.settings import KEYS, SETTINGS, SettingsError, faults, instance_path, load

RIGHT = {"PUBLIC_URL": "https://konto.kmz.example", "PROXY_HOPS": 1}


def from_environment(tmp_path, **environment):
    return load(tmp_path, {f"KMZPORTAL_{name}": value for name, value in environment.items()})


def from_file(tmp_path, text):
    (tmp_path / "config.toml").write_text(text, "utf-8")
    return load(tmp_path, {})


def test_a_fresh_portal_makes_its_own_keys_readable_by_itself_alone_and_keeps_them(tmp_path):
    fresh = tmp_path
    settings, _ = load(fresh, {})
    for name in ("secret_key", "link_key", "factor_key", "audit_key"):
        path = fresh / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert settings[name.upper()] == path.read_text()
        assert len(path.read_text()) >= 32
    assert len({settings[name] for name in KEYS}) == 4
    assert load(fresh, {})[0] == settings


def test_a_portal_of_before_the_factor_key_takes_its_link_keys_over(tmp_path):
    (tmp_path / "link_key").write_text("l" * 32)
    settings, _ = from_environment(tmp_path, LINK_KEY_FALLBACKS="o" * 32)
    assert settings["FACTOR_KEY"] == (tmp_path / "factor_key").read_text() == "l" * 32
    assert "o" * 32 in settings["FACTOR_KEY_FALLBACKS"]
    rotated, _ = from_environment(tmp_path, LINK_KEY="n" * 32, LINK_KEY_FALLBACKS=f"{'l' * 32},{'o' * 32}")
    assert rotated["FACTOR_KEY"] == "l" * 32
    assert "o" * 32 in rotated["FACTOR_KEY_FALLBACKS"]


def test_a_factor_key_of_its_own_has_nothing_to_do_with_the_link_keys(tmp_path):
    own, _ = from_environment(tmp_path, LINK_KEY="l" * 32, FACTOR_KEY="f" * 32, FACTOR_KEY_FALLBACKS="g" * 32)
    assert (own["FACTOR_KEY"], own["FACTOR_KEY_FALLBACKS"]) == ("f" * 32, ["g" * 32])


def test_without_settings_all_have_their_defaults(tmp_path):
    settings, warnings = load(tmp_path, {})
    made = {*KEYS, "SQLALCHEMY_DATABASE_URI", "MAIL_DEFAULT_SENDER"}
    assert {s.name: settings[s.name] for s in SETTINGS if s.name not in made} == {
        s.name: s.default for s in SETTINGS if s.name not in made
    }
    assert settings["SQLALCHEMY_DATABASE_URI"] == f"sqlite:///{tmp_path}/kmzportal.db"
    assert settings["MAIL_DEFAULT_SENDER"] == (settings["OFFICE_NAME"], settings["OFFICE_SUPPORT_EMAIL"])
    assert warnings == []


def test_the_environment_overrides_the_file(tmp_path):
    (tmp_path / "config.toml").write_text('OFFICE_NAME = "Datei"\nOFFICE_PHONE = "07051 1"\nMAIL_PORT = 587\n')
    settings, _ = from_environment(tmp_path, OFFICE_NAME="Umgebung")
    assert (settings["OFFICE_NAME"], settings["OFFICE_PHONE"], settings["MAIL_PORT"]) == ("Umgebung", "07051 1", 587)


def test_a_secret_can_lie_in_a_file_of_its_own(tmp_path):
    (tmp_path / "secret").write_text("geheim\n")
    files = {"MAIL_USERNAME": "kmz", "MAIL_PASSWORD_FILE": str(tmp_path / "secret")}
    settings, warnings = from_environment(tmp_path, **files)
    assert (settings["MAIL_PASSWORD"], warnings) == ("geheim", [])
    with pytest.raises(SettingsError, match=r"MAIL_PASSWORD: .*/nowhere gibt es nicht"):
        from_environment(tmp_path, MAIL_PASSWORD_FILE=str(tmp_path / "nowhere"))


@pytest.mark.parametrize("read", [
    lambda folder, value: from_environment(folder, STAFF_SECOND_FACTOR=value),
    lambda folder, value: from_file(folder, f'STAFF_SECOND_FACTOR = "{value}"'),
])  # fmt: skip
def test_whether_clerks_need_a_second_factor_is_one_of_three_words(tmp_path, read):
    assert read(tmp_path, "offered")[0]["STAFF_SECOND_FACTOR"] == "offered"
    for value in ("off", "", "Required"):
        with pytest.raises(SettingsError, match=f"STAFF_SECOND_FACTOR: „{value}“ .*: required, passkey, offered"):
            read(tmp_path, value)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("PUBLIC_UR", " Meinten Sie PUBLIC_URL?"), ("mail_sever", " Meinten Sie MAIL_SERVER?"), ("XYZZY", "")],
)
def test_an_unknown_name_is_warned_about_with_its_nearest(tmp_path, name, nearest):
    sentence = f"Unbekannte Einstellung {name}.{nearest}"
    assert from_environment(tmp_path, **{name: "x"})[1] == [sentence]
    assert from_file(tmp_path, f'{name} = "x"')[1] == [sentence]


def test_where_the_instance_lies_is_no_unknown_setting(tmp_path):
    assert from_environment(tmp_path, INSTANCE_PATH=str(tmp_path))[1] == []
    assert instance_path({"KMZPORTAL_INSTANCE_PATH": str(tmp_path)}) == tmp_path
    assert instance_path({}).name == "instance"


@pytest.mark.parametrize(("name", "text", "value"), [
    ("MAIL_USE_TLS", "ja", True),
    ("MAIL_USE_TLS", "True", True),
    ("MAIL_USE_TLS", "0", False),
    ("MAIL_USE_TLS", "nein", False),
    ("LINK_KEY_FALLBACKS", f"{'1' * 32}, {'2' * 32},", ["1" * 32, "2" * 32]),
    ("PROXY_HOPS", "1", 1),
])  # fmt: skip
def test_yes_and_no_lists_and_numbers_are_understood(tmp_path, name, text, value):
    assert from_environment(tmp_path, **{name: text})[0][name] == value


@pytest.mark.parametrize(("read", "text", "complaint"), [
    (from_environment, {"PROXY_HOPS": "eins"}, "PROXY_HOPS: „eins“ ist keine ganze Zahl"),
    (from_environment, {"MAIL_USE_TLS": "vielleicht"}, "MAIL_USE_TLS: „vielleicht“ ist weder true noch false"),
    (from_file, {"text": 'PROXY_HOPS = "1"'}, r'PROXY_HOPS: Erwartet wird eine ganze Zahl \(Proxys\), nicht "1"'),
    (from_file, {"text": "MAIL_USE_TLS = 1"}, "MAIL_USE_TLS: Erwartet wird true oder false, nicht 1"),
    (from_file, {"text": "PROXY_HOPS = true"}, "PROXY_HOPS: Erwartet wird eine ganze Zahl"),
    (from_file, {"text": 'CLOSING_DAYS = "2026-12-24"'}, "CLOSING_DAYS: Erwartet wird eine Liste von Tagen"),
    (from_file, {"text": "MAIL_PASSWORD = 123456789"}, r"(?m)MAIL_PASSWORD: Erwartet .* Anführungszeichen\.$"),
    (from_file, {"text": "MAIL_PORT = 2026-01-01"}, 'MAIL_PORT: Erwartet wird .*, nicht "2026-01-01"'),
    (from_file, {"text": 'SQLALCHEMY_DATABASE_URI = ["geheim"]'}, r"(?m)URI: Erwartet .* Anführungszeichen\.$"),
    (from_file, {"text": "[portal]\nMAIL_PORT = 25"}, r"\[portal\]: Abschnitte gibt es in config.toml nicht"),
    (from_file, {"text": f"MAIL_PORT = {'9' * 5000}"}, "Das ist kein gültiges TOML"),
    (from_file, {"text": f"a = {'[' * 20_000}"}, "Das ist kein gültiges TOML"),
    (from_file, {"text": "\nPUBLIC_URL = https"}, "config.toml, Zeile 2: Das ist kein gültiges TOML"),
    (from_file, {"text": "MAIL_PORT = 25\nMAIL_PORT = 26"}, "config.toml.*: Das ist kein gültiges TOML"),
])  # fmt: skip
def test_a_wrong_type_is_named(tmp_path, read, text, complaint):
    with pytest.raises(SettingsError, match=complaint):
        read(tmp_path, **text)


@pytest.mark.parametrize(("name", "texts", "complaint"), [
    ("PUBLIC_URL", ["konto.kmz.example", "konto.kmz.example:8443"], "ohne https:// geschrieben"),
    ("PUBLIC_URL", ["https://portal.example/konto", "https://a.example/?x=1", "https://a.example/#x"], "mehr als"),
    (
        "PUBLIC_URL",
        ["https://", "https://a b.example", "ftp://a.example", "https://kmz:x@a.example", "https://a.example:99999",
         "https://a..example", "https://-.example", "https://a.example:0", "https://*.example", "https://[::1",
         f"https://{'a' * 64}.example", "https://kmz:geheim@a.example"],
        "ist keine Webadresse",
    ),
    ("PUBLIC_URL", ["https:/a.example", "//a.example"], "Schreiben Sie zum Beispiel: https://a.example\n|$"),
    ("OFFICE_SITE", ["kmz.example"], "ohne https://"),
    ("CATALOGUE_URL", ["edupool.example"], "ohne https://"),
    ("CATALOGUE_SAME_LOGIN", ["vielleicht"], "weder true noch false"),
    ("OFFICE_LOGO", ["../logo.png", "/etc/logo.png", "C:\\logo.png", ".htaccess"], "nur den Namen einer Datei"),
    ("MAIL_SERVER", ["kmz:geheim@mail.kmz.example"], "ohne Benutzer, Passwort"),
    ("OFFICE_EMAIL", ["müller@gs.example"], "Vor dem @ steht „ü“"),
    ("MAIL_DEFAULT_SENDER", ["müller@gs.example"], "Vor dem @ steht „ü“"),
    ("MAIL_DEFAULT_SENDER", ["Medien\nzentrum <a@kmz.example>"], "unsichtbare Zeichen"),
    ("OFFICE_PHONE", ["07051 965 220 / 07051 965 221"], "Schreiben Sie eine einzige"),
    ("MAIL_CA_FILE", ["x" * 5000, "/", "a\0"], "nicht als Zertifikat im PEM-Format lesbar"),
    ("LINK_KEY_FALLBACKS", ["geheim"], "mindestens 32 Zeichen"),
    ("MAIL_SERVER", ["mail.kmz.example:25", "smtp://mail.kmz.example", "mail server", "mail..x"], "kein Rechnername"),
    ("OFFICE_EMAIL", ["kein", "a@b@c.example", "müller@gs.example", "a@b"], "keine E-Mail-Adresse"),
    ("MAIL_DEFAULT_SENDER", ["Verleih", "Verleih <verleih>", "<>", "a@kmz.example\nBcc: b@a.example"], "kein Absender"),
    ("OFFICE_PHONE", ["anrufen", "07051 965 220 oder 221", "()"], "keine Telefonnummer"),
    ("OFFICE_NAME", ["Zwei\nZeilen", "Kreis\u202emedienzentrum"], "unsichtbare Zeichen"),
    ("OFFICE_NAME", ["", "  "], "darf nicht leer sein"),
    ("MAIL_PORT", ["0", "70000", "-1", "99999"], "Möglich sind 1 bis 65535"),
    ("RECOVERY_LINK_LIFETIME", ["-5", "0"], "Möglich sind 1 bis"),
    ("PROXY_HOPS", ["-1"], "Möglich sind 0 bis"),
    ("PASSWORD_MINIMUM", ["3", "300"], "Möglich sind 8 bis"),
    ("MAIL_CA_FILE", ["/nix"], "gibt es nicht"),
    ("CLOSING_DAYS", ["24.12.2026", "2026-13-01"], "ist kein Tag"),
    ("ACCESSIBILITY_STATEMENT_DATE", ["gestern"], "ist kein Tag"),
    ("SQLALCHEMY_DATABASE_URI", ["postgres://kmz@db/kmz"], r"postgresql:// statt postgres://"),
    ("SQLALCHEMY_DATABASE_URI", ["mysql://kmz:geheim@db/kmz", "postgresql+psycopg2://db/kmz"], "geht hier nicht"),
    ("SQLALCHEMY_DATABASE_URI", ["quatsch", "postgresql://kmz:ge/heim@:x@db/kmz"], "keine Datenbankadresse"),
    ("SQLALCHEMY_DATABASE_URI", ["postgresql://kmz:ge@heim@db/kmz"], "keine Datenbankadresse"),
    ("SQLALCHEMY_DATABASE_URI", ["sqlite:////nirgends/kmzportal.db"], "Den Ordner /nirgends gibt es nicht"),
    ("SQLALCHEMY_DATABASE_URI", ["sqlite://", "sqlite://x.db", "sqlite:///:memory:", "sqlite:///x.db?timeout=x",
     "sqlite:///x%00.db".replace("%00", "\0")], "Das ist keine Datei"),
    ("SQLALCHEMY_DATABASE_URI", ["postgresql://db/kmz?password=geheim", "postgresql://db/kmz?sslPassword=geheim",
     "postgresql://db/kmz?sslmode=require&oauth_client_secret=geheim"], "hinter dem „.“"),
    ("SECRET_KEY", ["kurz"], "SECRET_KEY ist kürzer als 32 Zeichen"),
    ("LINK_KEY", ["kurz"], "LINK_KEY ist kürzer als 32 Zeichen"),
])  # fmt: skip
def test_a_value_that_cannot_be_meant_is_named_with_its_cure(tmp_path, name, texts, complaint):
    for text in texts:
        with pytest.raises(SettingsError, match=complaint) as fault:
            from_environment(tmp_path, **{name: text})
        assert name in str(fault.value) and "geheim" not in str(fault.value) and "heim@" not in str(fault.value), text


@pytest.mark.parametrize(("name", "text", "value"), [
    ("PUBLIC_URL", "https://konto.müller-schule.example", "https://konto.xn--mller-schule-dlb.example"),
    ("PUBLIC_URL", "https://Konto.KMZ.example/", "https://konto.kmz.example"),
    ("PUBLIC_URL", "HTTPS://konto.kmz.example.:443", "https://konto.kmz.example"),
    ("PUBLIC_URL", "https://konto.kmz.example:8443", "https://konto.kmz.example:8443"),
    ("PUBLIC_URL", "http://[::1]:5000", "http://[::1]:5000"),
    ("MAIL_SERVER", " Mail.Müller.example. ", "mail.xn--mller-kva.example"),
    ("MAIL_SERVER", "192.0.2.7", "192.0.2.7"),
    ("MAIL_SERVER", "[::1]", "::1"),
    ("MAIL_SERVER", "  ", ""),
    ("PUBLIC_URL", "\u200bhttps://konto.kmz.example", "https://konto.kmz.example"),
    ("SQLALCHEMY_DATABASE_URI", " Postgresql://kmz:x@db/kmz\n", "postgresql://kmz:x@db/kmz"),
    ("OFFICE_PHONE", "\u202d07051\u2011965\u202c", "07051-965"),
    ("MAIL_DEFAULT_SENDER", "verleih@medienzentrum-müller.example",
     ("Kreismedienzentrum Calw", "verleih@xn--medienzentrum-mller-kbc.example")),
    ("MAIL_DEFAULT_SENDER", "Medienzentrum Calw, Verleih <verleih@kmz.example>",
     ("Medienzentrum Calw, Verleih", "verleih@kmz.example")),
    ("MAIL_DEFAULT_SENDER", '"Verleih" <verleih@kmz.example>', ("Verleih", "verleih@kmz.example")),
    ("MAIL_DEFAULT_SENDER", "", ("Kreismedienzentrum Calw", "support@kmz-cw.de")),
    ("OFFICE_PHONE", "+49 (0) 7051 / 965-220", "+49 (0) 7051 / 965-220"),
    ("OFFICE_FAX", "", ""),
    ("CLOSING_DAYS", "2026-12-24, 2026-12-31", [date(2026, 12, 24), date(2026, 12, 31)]),
])  # fmt: skip
def test_a_value_is_parsed_once_into_the_form_that_the_code_uses(tmp_path, name, text, value):
    assert from_environment(tmp_path, **{name: text})[0][name] == value


@pytest.mark.parametrize(("text", "absent"), [
    ('PUBLIC_URL = "konto.kmz.example"', "PUBLIC_URL fehlt"),
    ('PUBLIC_URL = "https://konto.kmz.example"\nPROXY_HOPS = -1', "PROXY_HOPS ist 0"),
    ('MAIL_PASSWORD = "x"\nMAIL_USERNAME = 5', "ohne MAIL_USERNAME"),
    ("PUBLIC_URL = konto", "PUBLIC_URL fehlt"),
])  # fmt: skip
def test_a_value_that_cannot_be_read_is_not_reported_as_missing_too(tmp_path, text, absent):
    with pytest.raises(SettingsError) as fault:
        from_file(tmp_path, text)
    assert absent not in str(fault.value)


@pytest.mark.parametrize("name", ["config.toml", "secret_key"])
def test_a_link_that_leads_nowhere_is_no_missing_file(tmp_path, name):
    (tmp_path / name).symlink_to(tmp_path / "nirgends")
    with pytest.raises(SettingsError, match=f"{name} gibt es nicht"):
        load(tmp_path, {})


@pytest.mark.parametrize(("settings", "complaint"), [
    ({"MAIL_USE_TLS": "ja", "MAIL_USE_SSL": "ja"}, "MAIL_USE_TLS und MAIL_USE_SSL schließen sich aus"),
    ({"MAIL_USERNAME": "kmz"}, "MAIL_USERNAME steht ohne MAIL_PASSWORD da"),
    ({"IMAP_PASSWORD": "geheim"}, "IMAP_PASSWORD steht ohne IMAP_USERNAME da"),
    ({"IMAP_SERVER": "mail.kmz.example"}, "IMAP_SERVER steht ohne"),
    ({"IMAP_DONE_FOLDER": "INBOX"}, "derselbe Ordner"),
])  # fmt: skip
def test_settings_that_contradict_each_other_are_named(tmp_path, settings, complaint):
    with pytest.raises(SettingsError, match=complaint):
        from_environment(tmp_path, **settings)


def test_all_faults_are_named_together(tmp_path):
    (tmp_path / "config.toml").write_text('MAIL_PORT = "25"\nOFFICE_EMAIL = "kein"\nPROXY_HOPS = -1\n')
    with pytest.raises(SettingsError) as fault:
        from_environment(tmp_path, MAIL_PASSWORD_FILE=str(tmp_path / "nirgends"), MAIL_USE_SSL="jein")
    named = [line.partition(":")[0].partition(" ")[0] for line in str(fault.value).splitlines()]
    assert named == ["MAIL_PORT", "OFFICE_EMAIL", "PROXY_HOPS", "MAIL_PASSWORD", "MAIL_USE_SSL", "PUBLIC_URL"]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_byte_order_mark_is_no_part_of_settings_and_secrets(tmp_path, mark):
    (tmp_path / "config.toml").write_text(f'{mark}OFFICE_NAME = "Verleih"\n', "utf-8")
    (tmp_path / "secret").write_text(f"{mark}geheim\n", "utf-8")
    settings, warnings = from_environment(tmp_path, MAIL_PASSWORD_FILE=str(tmp_path / "secret"), MAIL_USERNAME="kmz")
    assert (settings["OFFICE_NAME"], settings["MAIL_PASSWORD"], warnings) == ("Verleih", "geheim", [])


def test_a_file_that_is_not_utf_8_is_one_sentence(tmp_path):
    (tmp_path / "config.toml").write_bytes('OFFICE_NAME = "Müller"\n'.encode("latin-1"))
    with pytest.raises(SettingsError, match=r"config.toml ist nicht in UTF-8 gespeichert"):
        load(tmp_path, {})


def test_nothing_is_made_where_there_is_no_instance(tmp_path):
    first, second = (load(tmp_path / "instance", {})[0] for _ in range(2))
    assert not (tmp_path / "instance").exists()
    assert {len(first[name]) for name in ("SECRET_KEY", "LINK_KEY", "FACTOR_KEY")} == {64}
    assert first["SECRET_KEY"] != second["SECRET_KEY"]


@pytest.mark.parametrize(("wrong", "complaint"), [
    ({"PUBLIC_URL": ""}, "PUBLIC_URL fehlt."),
    ({"PUBLIC_URL": "http://konto.kmz.example"}, "nur über https"),
    ({"PROXY_HOPS": 0}, "Tragen Sie ein: PROXY_HOPS = 1"),
])  # fmt: skip
def test_what_a_public_server_cannot_do_without_is_named_with_its_cure(wrong, complaint):
    (fault,) = faults(RIGHT | wrong)
    assert complaint in fault
    assert faults(RIGHT) == faults({"PUBLIC_URL": "http://127.0.0.1:5000", "PROXY_HOPS": 0}) == []
