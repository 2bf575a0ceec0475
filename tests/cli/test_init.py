"""kmzportal init: questions, options, and the first admin who logs in."""

import re
import stat

import pytest

from kmzportal.cli import cli
from tests.cli.test_console import ADMIN, console, installed

URL = ("--url", "https://Konto.kmz.example/")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_options_answer_all_questions_and_the_first_admin_gets_a_link(tmp_path):
    folder = tmp_path / "neu" / "instance"
    made = installed(folder, "init", *URL, *ADMIN, "--mail-server", "mail.kmz.example", "--office", 'Verleih "Süd"')
    assert made.returncode == 0, made.stderr
    assert re.search(r"^https://konto\.kmz\.example/link/[\w-]{43}$", made.stdout, re.MULTILINE)
    assert mode(folder) == 0o700
    assert {path.name for path in folder.iterdir()} >= {"config.toml", "secret_key", "link_key", "kmzportal.db"}
    assert {mode(path) for path in folder.iterdir() if path.is_file()} == {0o600}
    assert f"KMZPORTAL_INSTANCE_PATH={folder}" in made.stdout and "server_name konto.kmz.example;" in made.stdout
    assert "systemctl reload nginx" in made.stdout
    shown = console(folder, "config")
    assert shown.returncode == 0
    for line in ("PUBLIC_URL = https://konto.kmz.example", "PROXY_HOPS = 1", 'OFFICE_NAME = Verleih "Süd"'):
        assert f"{line}\n" in shown.stdout
    again = console(folder, "init", *URL, *ADMIN)
    assert (again.returncode, again.stdout) == (1, "") and "gibt es schon ein Portal" in again.stderr


@pytest.mark.parametrize(("words", "sentence"), [
    (ADMIN, "Es fehlt --url"),
    (URL, "Es fehlt --admin"),
    (("--url", "konto", "--admin", "ro@", *ADMIN[2:]), "https://konto\n--admin: „ro@“ ist keine E-Mail-Adresse"),
    ((*URL, *ADMIN[:2], "--name", "", "--initials", "x1"), "--name: Nennen Sie Vor- und Nachnamen, höchstens 100 "
     "Zeichen.\n--initials: Ein Kürzel hat 2 bis 4 Buchstaben."),
    (("--url", "konto.kmz.example", *ADMIN), "ohne https:// geschrieben"),
    (("--url", "http://konto.kmz.example", *ADMIN), "nur über https"),
    ((*URL, *ADMIN, "--proxy", "apache"), "Möglich sind: nginx, caddy"),
    ((*URL, *ADMIN, "--proxy-hops", "0"), "Tragen Sie ein: PROXY_HOPS = 1"),
    ((*URL, *ADMIN, "--mail-server", "mail:25"), "MAIL_SERVER: „mail:25“"),
    ((*URL, *ADMIN[2:], "--admin", "ro@"), "„ro@“ ist keine E-Mail-Adresse"),
    ((*URL, *ADMIN, "--support", ""), "OFFICE_SUPPORT_EMAIL: Das darf nicht leer sein"),
])  # fmt: skip
def test_a_wrong_or_missing_answer_is_one_sentence_and_the_next_try_works(tmp_path, words, sentence):
    folder = tmp_path / "instance"
    refused = console(folder, "init", *words)
    assert refused.returncode != 0 and sentence in refused.stderr
    assert not folder.exists()
    assert console(folder, "init", *URL, *ADMIN).returncode == 0


def test_questions_are_asked_one_by_one_and_again_after_a_wrong_answer(app, tmp_path, monkeypatch):
    monkeypatch.setenv("KMZPORTAL_INSTANCE_PATH", str(tmp_path / "instance"))
    answers = [
        "konto.kmz.example",
        URL[1],
        "",
        "kein",
        "hilfe@kmz.example",
        "",
        "",
        "caddy",
        "ro@kmz.example",
        "Rosa Otto",
        "ro",
    ]
    asked = app.test_cli_runner().invoke(args=["init"], cli=cli, input="\n".join(answers))
    assert asked.exit_code == 0, asked.output
    assert "ist ohne https:// geschrieben" in asked.output and "„kein“ ist keine E-Mail-Adresse" in asked.output
    assert "reverse_proxy" in asked.output and "systemctl reload caddy" in asked.output
    assert 'OFFICE_SUPPORT_EMAIL = "hilfe@kmz.example"' in (tmp_path / "instance" / "config.toml").read_text()
