"""All settings with name, default, unit and reason, and how they are read and validated.

A value comes from `instance/config.toml`, is overridden by `KMZPORTAL_<NAME>` in the environment, and that by the
file which `KMZPORTAL_<NAME>_FILE` names. Settings that only the operator knows are empty by default.
"""

import contextlib
import difflib
import os
import secrets
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PREFIX = "KMZPORTAL_"
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
MIN_KEY_LENGTH = 32
BOOLEANS = dict.fromkeys(("1", "true", "yes", "on", "ja"), True)
BOOLEANS |= dict.fromkeys(("0", "false", "no", "off", "nein"), False)


class SettingsError(ValueError):
    """A setting has an invalid value; the German text names the setting and the valid values."""


@dataclass(frozen=True)
class Setting:
    name: str
    default: Any
    unit: str
    why: str
    choices: tuple[str, ...] = ()

    def parse(self, value: Any) -> Any:
        """Return a value from TOML, or the text of an environment variable, as the type of the default.

        Raises SettingsError.
        """
        if isinstance(value, str) and not isinstance(self.default, str):
            value = self._parse_text(value)
        if type(value) is not type(self.default):
            raise SettingsError(f"{self.name}: erwartet wird {self.unit}, nicht {value!r}.")
        if self.choices and value not in self.choices:
            raise SettingsError(f"{self.name}: „{value}“ gibt es nicht. Möglich sind: {', '.join(self.choices)}.")
        return value

    def _parse_text(self, text: str) -> Any:
        if isinstance(self.default, list):
            return [part.strip() for part in text.split(",") if part.strip()]
        if isinstance(self.default, bool):
            if text.strip().lower() not in BOOLEANS:
                raise SettingsError(f"{self.name}: „{text}“ ist weder true noch false.")
            return BOOLEANS[text.strip().lower()]
        try:
            return int(text)
        except ValueError:
            raise SettingsError(f"{self.name}: „{text}“ ist keine ganze Zahl ({self.unit}).") from None


FACTOR = ("required", "offered")

SETTINGS = (
    Setting("PUBLIC_URL", "", "URL", "links in mails are built from it, never from the Host header"),
    Setting("PROXY_HOPS", 0, "proxies", "how many proxies are trusted; 0 ignores X-Forwarded-For"),
    Setting("SECRET_KEY", "", "text", "signs the cookie; made at first start as instance/secret_key"),
    Setting("SECRET_KEY_FALLBACKS", [], "list", "older keys, still accepted while they are being replaced"),
    Setting("LINK_KEY", "", "text", "links and codes derive from it; made as instance/link_key, never in a backup"),
    Setting("LINK_KEY_FALLBACKS", [], "list", "older link keys: waiting mails still get their own link"),
    Setting("SQLALCHEMY_DATABASE_URI", "", "URL", "empty: instance/kmzportal.db (SQLite)"),
    Setting("MAIL_SERVER", "", "host", "empty: mail waits in the outbox"),
    Setting("MAIL_PORT", 25, "port", "25 for a local relay, 587 with MAIL_USE_TLS, 465 with MAIL_USE_SSL"),
    Setting("MAIL_USE_TLS", False, "yes/no", "STARTTLS, certificate always checked"),
    Setting("MAIL_USE_SSL", False, "yes/no", "TLS from the first byte, certificate always checked"),
    Setting("MAIL_CA_FILE", "", "path", "an own certificate authority of the mail server"),
    Setting("MAIL_USERNAME", "", "text", "empty: no authentication"),
    Setting("MAIL_PASSWORD", "", "text", "better given as KMZPORTAL_MAIL_PASSWORD_FILE"),
    Setting("MAIL_DEFAULT_SENDER", "", "address", "empty: OFFICE_SUPPORT_EMAIL"),
    Setting("MAIL_TIMEOUT", 15, "seconds", "a mail server that does not answer delays one mail"),
    Setting("OFFICE_NAME", "Kreismedienzentrum Calw", "text", "the office, as people know it"),
    Setting("OFFICE_STREET", "Oberriedter Straße 10", "text", "in footer and mails"),
    Setting("OFFICE_TOWN", "75365 Calw", "text", "in footer and mails"),
    Setting("OFFICE_PHONE", "07051 965 220", "text", "shown wherever a page cannot help"),
    Setting("OFFICE_FAX", "07051 965 230", "text", "in footer and mails"),
    Setting("OFFICE_EMAIL", "verleih@kmz-cw.de", "address", "the lending desk"),
    Setting("OFFICE_SUPPORT_EMAIL", "support@kmz-cw.de", "address", "help; Reply-To of every mail"),
    Setting("OFFICE_SITE", "https://kmz-calw.de", "URL", "linked from the page Fertig"),
    Setting("OFFICE_BODY", "", "text", "the body the office belongs to, with address; Impressum, Datenschutz"),
    Setting("OFFICE_REPRESENTATIVE", "", "text", "who represents that body; Impressum, DDG § 5"),
    Setting("OFFICE_AUTHORITY", "", "text", "who supervises that body; Impressum"),
    Setting("PRIVACY_OFFICER", "", "text", "data protection officer, with mail or phone; GDPR 13"),
    Setting("PRIVACY_PROCESSORS", "", "text", "who hosts and mails for the office, also if outside of the EU; GDPR 13"),
    Setting(
        "PRIVACY_LEGAL_BASIS",
        "Artikel 6 Absatz 1 Buchstabe e DSGVO und § 4 Landesdatenschutzgesetz Baden-Württemberg",
        "text",
        "legal basis of the processing; GDPR 6, 13",
    ),
    Setting("ACCESSIBILITY_STATEMENT_DATE", "", '"YYYY-MM-DD"', "empty: the page says that it is a draft; L-BGG § 10"),
    Setting("ACCESSIBILITY_STATUS", "", "text", "such as: teilweise vereinbar; the result of a test"),
    Setting("ACCESSIBILITY_METHOD", "", "text", "how that was tested, by whom and when; L-BGG-DVO § 4"),
    Setting("ACCESSIBILITY_EXCEPTIONS", "", "text", "what is not accessible yet, why, and the alternative"),
    Setting("SIGN_LANGUAGE_VIDEO", "", "URL or file", "a video page, or a file in instance/pages; BITV 2.0 § 4"),
    Setting("RECOVERY_LINK_LIFETIME", 2 * 3600, "seconds", "the customer is waiting; greylisting delays a mail"),
    Setting("DESK_LINK_LIFETIME", 72 * 3600, "seconds", "weekends; a documented deviation from NIST's 24 h"),
    Setting("ADDRESS_LINK_LIFETIME", 24 * 3600, "seconds", "NIST SP 800-63B-4, 4.2.1.2"),
    Setting("FIRST_LINK_LIFETIME", 72 * 3600, "seconds", "a clerk's first link; weekends"),
    Setting("OBJECTION_LINK_LIFETIME", 7 * 86400, "seconds", "the old mailbox may be read only once a week"),
    Setting("SAME_LINK_WITHIN", 600, "seconds", "a second request in this time mails the same link"),
    Setting("LINK_SESSION_IDLE", 1800, "seconds", "visit to a link: time without a request"),
    Setting("LINK_SESSION_LIFETIME", 7200, "seconds", "visit to a link: time in all"),
    Setting("SESSION_IDLE", 1800, "seconds", "customers; shared school PCs are left without logging out"),
    Setting("SESSION_LIFETIME", 8 * 3600, "seconds", "one working day"),
    Setting("STAFF_SESSION_IDLE", 900, "seconds", "clerks; BSI BER.3.13"),
    Setting("STAFF_SESSION_LIFETIME", 8 * 3600, "seconds", "one working day"),
    Setting("STAFF_SECOND_FACTOR", "required", "required or offered", "the desk can take over any account", FACTOR),
    Setting("PROOF_LIFETIME", 600, "seconds", "how long the current password counts for Konto anpassen"),
    Setting("PASSWORD_MINIMUM", 12, "characters", "customers; a documented deviation, docs/decisions/0004"),
    Setting("STAFF_PASSWORD_MINIMUM", 15, "characters", "NIST SP 800-63B-4, 3.1.1.2"),
    Setting("THROTTLE_FREE_FAILURES", 5, "failures", "typing errors have no consequence"),
    Setting("THROTTLE_FIRST_WAIT", 30, "seconds", "wait after the next failure; it doubles with each"),
    Setting("THROTTLE_LONGEST_WAIT", 3600, "seconds", "longest wait; attackers must not lock an account"),
    Setting("THROTTLE_DISABLED_AT", 100, "failures", "password disabled, links work; NIST SP 800-63B-4, 3.2.2"),
    Setting("THROTTLE_SOURCE_ACCOUNTS", 30, "accounts", "distinct accounts a source may fail at in 15 minutes"),
    Setting("RECOVERY_PER_HOUR", 3, "mails", "reset requests per address; against mail bombing"),
    Setting("RECOVERY_PER_DAY", 5, "mails", "reset requests per address"),
    Setting("RECOVERY_PER_SOURCE", 20, "addresses", "distinct addresses a source may ask for in an hour"),
    Setting("MAILS_PER_DAY", 10, "mails", "per recipient, over all kinds"),
    Setting("SOURCE_RETENTION", 7, "days", "source addresses"),
    Setting("AUDIT_RETENTION", 365, "days", "history and audit"),
    Setting("HASHING_THREADS", 1, "threads", "per process; Argon2id takes 64 MiB each"),
)  # fmt: skip
BY_NAME = {setting.name: setting for setting in SETTINGS}


def instance_path(environ: Mapping[str, str] = os.environ) -> Path:
    return Path(environ.get(f"{PREFIX}INSTANCE_PATH") or "instance").absolute()


def load(instance: Path, environ: Mapping[str, str] = os.environ) -> tuple[dict[str, Any], list[str]]:
    """Return all settings, and a German warning for each unknown name; raises SettingsError."""
    values = {setting.name: setting.default for setting in SETTINGS}
    warnings = []
    for name, value in (*_read_file(instance / "config.toml"), *_read_environment(environ)):
        if name in BY_NAME:
            values[name] = BY_NAME[name].parse(value)
        else:
            nearest = difflib.get_close_matches(name.upper(), BY_NAME, n=1)
            hint = f" Meinten Sie {nearest[0]}?" if nearest else ""
            warnings.append(f"Unbekannte Einstellung {name}.{hint}")
    instance.mkdir(mode=0o700, parents=True, exist_ok=True)
    values["SECRET_KEY"] = values["SECRET_KEY"] or _read_key(instance / "secret_key")
    values["LINK_KEY"] = values["LINK_KEY"] or _read_key(instance / "link_key")
    values["PUBLIC_URL"] = values["PUBLIC_URL"].rstrip("/")
    values["SQLALCHEMY_DATABASE_URI"] = values["SQLALCHEMY_DATABASE_URI"] or f"sqlite:///{instance / 'kmzportal.db'}"
    values["MAIL_DEFAULT_SENDER"] = values["MAIL_DEFAULT_SENDER"] or values["OFFICE_SUPPORT_EMAIL"]
    return values, warnings


def faults(settings: Mapping[str, Any]) -> list[str]:
    """Return in German the settings that make a public server unsafe or impossible, and how to correct them."""
    url = urlsplit(settings["PUBLIC_URL"])
    found = []
    if not url.hostname:
        found.append(
            "PUBLIC_URL fehlt. Tragen Sie die Adresse ein, unter der das Portal erreichbar ist, zum "
            'Beispiel PUBLIC_URL = "https://konto.kmz.example" in instance/config.toml.'
        )
    elif url.scheme != "https" and url.hostname not in LOOPBACK:
        found.append(f"PUBLIC_URL ist {settings['PUBLIC_URL']}. Links zum Konto dürfen nur über https laufen.")
    for name in ("SECRET_KEY", "LINK_KEY"):
        if len(settings[name]) < MIN_KEY_LENGTH:
            found.append(f"{name} ist kürzer als {MIN_KEY_LENGTH} Zeichen. Löschen Sie ihn, dann entsteht ein neuer.")
    return found


def _read_file(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        entries = tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path.name} ist nicht lesbar: {error}") from None
    for name, value in entries.items():
        if name in BY_NAME and isinstance(value, str) and not isinstance(BY_NAME[name].default, str):
            raise SettingsError(f"{name}: erwartet wird {BY_NAME[name].unit}, nicht {value!r}.")
        yield name, value


def _read_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the variables with our prefix. Those of files come last, MAIL_CA_FILE is a setting of its own."""
    for variable in sorted(environ):
        name = variable.removeprefix(PREFIX)
        if not variable.startswith(PREFIX) or name == "INSTANCE_PATH":
            continue
        setting = name.removesuffix("_FILE")
        if name in BY_NAME or setting not in BY_NAME:
            yield name, environ[variable]
            continue
        try:
            yield setting, Path(environ[variable]).read_text("utf-8").strip()
        except OSError as error:
            raise SettingsError(f"{variable}: {environ[variable]} ist nicht lesbar ({error.strerror}).") from None


def _read_key(path: Path) -> str:
    """Return the key in the file. The first process creates it atomically, readable only by its owner."""
    if not path.exists():
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.touch(mode=0o600)
        temporary.write_text(secrets.token_urlsafe(48), "utf-8")
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(temporary)
        temporary.unlink()
    return path.read_text("utf-8").strip()
