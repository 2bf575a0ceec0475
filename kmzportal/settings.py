"""Every setting once: its name, its default, its unit, and why it is so.

A value comes from `instance/config.toml`, is overridden by `KMZPORTAL_<NAME>` in the environment, and that by
the file which `KMZPORTAL_<NAME>_FILE` names (see configuration.py). No default would be wrong in production:
what only the operator can know (`PUBLIC_URL`, `MAIL_SERVER`) is empty.
"""

from dataclasses import dataclass
from typing import Any


class SettingsError(ValueError):
    """A setting holds something that cannot be meant; the text names it and says what fits."""


@dataclass(frozen=True)
class Setting:
    name: str
    default: Any
    unit: str
    why: str
    choices: tuple[str, ...] = ()

    def parse(self, text: str) -> Any:
        """Turn environment text into the type of the default; raises SettingsError."""
        if isinstance(self.default, bool):
            return self._parse_bool(text)
        if isinstance(self.default, int):
            return self._parse_int(text)
        if isinstance(self.default, list):
            return [part.strip() for part in text.split(",") if part.strip()]
        return self._chosen(text)

    def accept(self, value: Any) -> Any:
        """Return a value from TOML if it has the type of the default; raises SettingsError."""
        if type(value) is not type(self.default):
            raise SettingsError(f"{self.name}: erwartet wird {self.unit}, nicht {value!r}.")
        return self._chosen(value)

    def _chosen(self, value: Any) -> Any:
        if self.choices and value not in self.choices:
            raise SettingsError(f"{self.name}: „{value}“ gibt es nicht. Möglich sind: {', '.join(self.choices)}.")
        return value

    def _parse_bool(self, text: str) -> bool:
        words = dict.fromkeys(("1", "true", "yes", "on", "ja"), True)
        words |= dict.fromkeys(("0", "false", "no", "off", "nein"), False)
        if text.strip().lower() not in words:
            raise SettingsError(f"{self.name}: „{text}“ ist weder true noch false.")
        return words[text.strip().lower()]

    def _parse_int(self, text: str) -> int:
        try:
            return int(text)
        except ValueError:
            raise SettingsError(f"{self.name}: „{text}“ ist keine ganze Zahl ({self.unit}).") from None


FACTOR = ("required", "offered")

SETTINGS = (
    Setting("PUBLIC_URL", "", "URL", "links in mails are built from it, never from the Host header"),
    Setting("PROXY_HOPS", 0, "proxies", "how many trusted proxies stand before us; 0 believes no X-Forwarded-For"),
    Setting("SECRET_KEY", "", "text", "signs the cookie; made at first start as instance/secret_key"),
    Setting("SECRET_KEY_FALLBACKS", [], "list", "older keys, still accepted while they are being replaced"),
    Setting("LINK_KEY", "", "text", "links and codes derive from it; made as instance/link_key, never in a backup"),
    Setting("LINK_KEY_FALLBACKS", [], "list", "older link keys: mails that wait still get their own link"),
    Setting("SQLALCHEMY_DATABASE_URI", "", "URL", "empty: instance/kmzportal.db (SQLite)"),
    Setting("MAIL_SERVER", "", "host", "empty: mail waits in the outbox"),
    Setting("MAIL_PORT", 25, "port", "25 for a relay nearby, 587 with MAIL_USE_TLS, 465 with MAIL_USE_SSL"),
    Setting("MAIL_USE_TLS", False, "yes/no", "STARTTLS, certificate always checked"),
    Setting("MAIL_USE_SSL", False, "yes/no", "TLS from the first byte, certificate always checked"),
    Setting("MAIL_CA_FILE", "", "path", "an own certificate authority of the mail server"),
    Setting("MAIL_USERNAME", "", "text", "empty: no authentication"),
    Setting("MAIL_PASSWORD", "", "text", "better given as KMZPORTAL_MAIL_PASSWORD_FILE"),
    Setting("MAIL_DEFAULT_SENDER", "", "address", "empty: OFFICE_SUPPORT_EMAIL"),
    Setting("MAIL_TIMEOUT", 15, "seconds", "a silent mail server delays one mail, not the worker"),
    Setting("OFFICE_NAME", "Kreismedienzentrum Calw", "text", "the office, as people know it"),
    Setting("OFFICE_STREET", "Oberriedter Straße 10", "text", "in footer and mails"),
    Setting("OFFICE_TOWN", "75365 Calw", "text", "in footer and mails"),
    Setting("OFFICE_PHONE", "07051 965 220", "text", "the way out of every dead end"),
    Setting("OFFICE_FAX", "07051 965 230", "text", "in footer and mails"),
    Setting("OFFICE_EMAIL", "verleih@kmz-cw.de", "address", "the lending desk"),
    Setting("OFFICE_SUPPORT_EMAIL", "support@kmz-cw.de", "address", "help; Reply-To of every mail"),
    Setting("OFFICE_SITE", "https://kmz-calw.de", "URL", "linked from the page Fertig"),
    Setting("OFFICE_BODY", "", "text", "the body the office belongs to, with address; Impressum, Datenschutz"),
    Setting("OFFICE_REPRESENTATIVE", "", "text", "who speaks for that body; Impressum, DDG § 5"),
    Setting("OFFICE_AUTHORITY", "", "text", "who supervises that body; Impressum"),
    Setting("PRIVACY_OFFICER", "", "text", "data protection officer, with mail or phone; GDPR 13"),
    Setting("PRIVACY_PROCESSORS", "", "text", "who hosts and mails for the office, also if outside of the EU; GDPR 13"),
    Setting(
        "PRIVACY_LEGAL_BASIS",
        "Artikel 6 Absatz 1 Buchstabe e DSGVO und § 4 Landesdatenschutzgesetz Baden-Württemberg",
        "text",
        "why the office may keep data at all; GDPR 6, 13",
    ),
    Setting("ACCESSIBILITY_STATEMENT_DATE", "", '"YYYY-MM-DD"', "empty: the page says that it is a draft; L-BGG § 10"),
    Setting("ACCESSIBILITY_STATUS", "", "text", "such as: teilweise vereinbar; only a test can tell"),
    Setting("ACCESSIBILITY_METHOD", "", "text", "how that was tested, by whom and when; L-BGG-DVO § 4"),
    Setting("ACCESSIBILITY_EXCEPTIONS", "", "text", "what is not accessible yet, why, and what helps meanwhile"),
    Setting("SIGN_LANGUAGE_VIDEO", "", "URL or file", "a video page, or a file in instance/pages; BITV 2.0 § 4"),
    Setting("RECOVERY_LINK_LIFETIME", 2 * 3600, "seconds", "a customer who asks is there; greylisting takes its time"),
    Setting("DESK_LINK_LIFETIME", 72 * 3600, "seconds", "weekends; a documented deviation from NIST's 24 h"),
    Setting("ADDRESS_LINK_LIFETIME", 24 * 3600, "seconds", "NIST SP 800-63B-4, 4.2.1.2"),
    Setting("FIRST_LINK_LIFETIME", 72 * 3600, "seconds", "a clerk's first link; weekends"),
    Setting("OBJECTION_LINK_LIFETIME", 7 * 86400, "seconds", "the old mailbox may be read once a week"),
    Setting("SAME_LINK_WITHIN", 600, "seconds", "asking again this soon mails the same link"),
    Setting("LINK_SESSION_IDLE", 1800, "seconds", "an opened link rests this long"),
    Setting("LINK_SESSION_LIFETIME", 7200, "seconds", "and never stays open longer than this"),
    Setting("SESSION_IDLE", 1800, "seconds", "customers; a shared school PC is left without logging out"),
    Setting("SESSION_LIFETIME", 8 * 3600, "seconds", "one working day"),
    Setting("STAFF_SESSION_IDLE", 900, "seconds", "clerks; BSI BER.3.13"),
    Setting("STAFF_SESSION_LIFETIME", 8 * 3600, "seconds", "one working day"),
    Setting("STAFF_SECOND_FACTOR", "required", "required or offered", "the desk can take over any account", FACTOR),
    Setting("PROOF_LIFETIME", 600, "seconds", "how long the current password counts for Konto anpassen"),
    Setting("PASSWORD_MINIMUM", 12, "characters", "customers; documented deviation, see docs/decisions"),
    Setting("STAFF_PASSWORD_MINIMUM", 15, "characters", "NIST SP 800-63B-4, 3.1.1.2"),
    Setting("THROTTLE_FREE_FAILURES", 5, "failures", "typing errors are free"),
    Setting("THROTTLE_FIRST_WAIT", 30, "seconds", "then it doubles with each failure"),
    Setting("THROTTLE_LONGEST_WAIT", 3600, "seconds", "never a lock that a stranger can put on a teacher"),
    Setting("THROTTLE_DISABLED_AT", 100, "failures", "password off, the link helps; NIST SP 800-63B-4, 3.2.2"),
    Setting("THROTTLE_SOURCE_ACCOUNTS", 30, "accounts", "distinct accounts a source may fail at in 15 minutes"),
    Setting("RECOVERY_PER_HOUR", 3, "mails", "reset requests per address; against mail bombing"),
    Setting("RECOVERY_PER_DAY", 5, "mails", "reset requests per address"),
    Setting("RECOVERY_PER_SOURCE", 20, "addresses", "distinct addresses a source may ask for in an hour"),
    Setting("MAILS_PER_DAY", 10, "mails", "per recipient, over all kinds"),
    Setting("SOURCE_RETENTION", 7, "days", "source addresses"),
    Setting("AUDIT_RETENTION", 365, "days", "history and audit"),
    Setting("HASHING_THREADS", 1, "threads", "Argon2id takes 64 MiB each; one a process keeps pages quick"),
)  # fmt: skip
BY_NAME = {setting.name: setting for setting in SETTINGS}
