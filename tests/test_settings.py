"""Where settings come from, and what is said when they cannot be meant."""

import stat

import pytest

from kmzportal.settings import SETTINGS, SettingsError, faults, instance_path, load

RIGHT = {"PUBLIC_URL": "https://konto.kmz.example", "SECRET_KEY": "s" * 32, "LINK_KEY": "l" * 32}


def from_environment(tmp_path, **environment):
    return load(tmp_path, {f"KMZPORTAL_{name}": value for name, value in environment.items()})


def from_file(tmp_path, text):
    (tmp_path / "config.toml").write_text(text, "utf-8")
    return load(tmp_path, {})


def test_a_fresh_portal_makes_its_own_keys_readable_by_itself_alone_and_keeps_them(tmp_path):
    fresh = tmp_path / "instance"
    settings, _ = load(fresh, {})
    for name in ("secret_key", "link_key"):
        path = fresh / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert settings[name.upper()] == path.read_text()
        assert len(path.read_text()) >= 32
    assert stat.S_IMODE(fresh.stat().st_mode) == 0o700
    assert settings["SECRET_KEY"] != settings["LINK_KEY"]
    assert load(fresh, {})[0] == settings


def test_without_settings_all_have_their_defaults(tmp_path):
    settings, warnings = load(tmp_path, {})
    made = {"SECRET_KEY", "LINK_KEY", "SQLALCHEMY_DATABASE_URI", "MAIL_DEFAULT_SENDER"}
    assert {s.name: settings[s.name] for s in SETTINGS if s.name not in made} == {
        s.name: s.default for s in SETTINGS if s.name not in made
    }
    assert settings["SQLALCHEMY_DATABASE_URI"] == f"sqlite:///{tmp_path}/kmzportal.db"
    assert settings["MAIL_DEFAULT_SENDER"] == settings["OFFICE_SUPPORT_EMAIL"]
    assert warnings == []


def test_the_environment_overrides_the_file(tmp_path):
    (tmp_path / "config.toml").write_text('OFFICE_NAME = "Datei"\nOFFICE_PHONE = "07051 1"\nMAIL_PORT = 587\n')
    settings, _ = from_environment(tmp_path, OFFICE_NAME="Umgebung")
    assert (settings["OFFICE_NAME"], settings["OFFICE_PHONE"], settings["MAIL_PORT"]) == ("Umgebung", "07051 1", 587)


def test_a_secret_can_lie_in_a_file_of_its_own(tmp_path):
    (tmp_path / "secret").write_text("geheim\n")
    settings, warnings = from_environment(tmp_path, MAIL_PASSWORD_FILE=str(tmp_path / "secret"), MAIL_CA_FILE="/ca.pem")
    assert (settings["MAIL_PASSWORD"], settings["MAIL_CA_FILE"], warnings) == ("geheim", "/ca.pem", [])
    with pytest.raises(SettingsError, match=r"KMZPORTAL_MAIL_PASSWORD_FILE: .*/nowhere ist nicht lesbar"):
        from_environment(tmp_path, MAIL_PASSWORD_FILE=str(tmp_path / "nowhere"))


@pytest.mark.parametrize("read", [
    lambda folder, value: from_environment(folder, STAFF_SECOND_FACTOR=value),
    lambda folder, value: from_file(folder, f'STAFF_SECOND_FACTOR = "{value}"'),
])  # fmt: skip
def test_whether_clerks_need_a_second_factor_is_one_of_two_words(tmp_path, read):
    assert read(tmp_path, "offered")[0]["STAFF_SECOND_FACTOR"] == "offered"
    for value in ("off", "", "Required"):
        with pytest.raises(SettingsError, match=f"STAFF_SECOND_FACTOR: „{value}“ .*: required, offered"):
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
    ("LINK_KEY_FALLBACKS", "one, two,", ["one", "two"]),
    ("PROXY_HOPS", "1", 1),
])  # fmt: skip
def test_yes_and_no_lists_and_numbers_are_understood(tmp_path, name, text, value):
    assert from_environment(tmp_path, **{name: text})[0][name] == value


@pytest.mark.parametrize(("read", "text", "complaint"), [
    (from_environment, {"PROXY_HOPS": "eins"}, "PROXY_HOPS: „eins“ ist keine ganze Zahl"),
    (from_environment, {"MAIL_USE_TLS": "vielleicht"}, "MAIL_USE_TLS: „vielleicht“ ist weder true noch false"),
    (from_file, {"text": 'PROXY_HOPS = "1"'}, "PROXY_HOPS: erwartet wird proxies, nicht '1'"),
    (from_file, {"text": "MAIL_USE_TLS = 1"}, "MAIL_USE_TLS: erwartet wird yes/no, nicht 1"),
    (from_file, {"text": "PROXY_HOPS = true"}, "PROXY_HOPS: erwartet wird proxies, nicht True"),
    (from_file, {"text": "PUBLIC_URL = https"}, "config.toml ist nicht lesbar"),
])  # fmt: skip
def test_a_wrong_type_is_named(tmp_path, read, text, complaint):
    with pytest.raises(SettingsError, match=complaint):
        read(tmp_path, **text)


@pytest.mark.parametrize(("wrong", "complaint"), [
    ({"PUBLIC_URL": ""}, "PUBLIC_URL fehlt."),
    ({"PUBLIC_URL": "konto.kmz.example"}, "PUBLIC_URL fehlt."),
    ({"PUBLIC_URL": "http://konto.kmz.example"}, "nur über https"),
    ({"SECRET_KEY": "kurz"}, "SECRET_KEY ist kürzer als 32 Zeichen"),
    ({"LINK_KEY": "kurz"}, "LINK_KEY ist kürzer als 32 Zeichen"),
])  # fmt: skip
def test_a_fault_is_named_with_its_cure(wrong, complaint):
    (fault,) = faults(RIGHT | wrong)
    assert complaint in fault
    assert faults(RIGHT) == faults(RIGHT | {"PUBLIC_URL": "http://127.0.0.1:5000"}) == []
