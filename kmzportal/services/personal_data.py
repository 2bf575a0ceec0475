"""The register of what is kept about people: each column, why, on what legal basis, and for how long.

It feeds the page Datenschutz. A column of any table that stands neither here nor under TECHNICAL fails a test.
`{name}` stands for a setting, as in every text under templates/legal.
"""

from dataclasses import dataclass

from kmzportal.services.retention import LINKS_KEPT, MAILS_KEPT, REQUESTS_KEPT, SESSIONS_KEPT, THROTTLES_KEPT

TASK = "{privacy_legal_basis}"
SECURITY = "dazu Artikel 32 DSGVO, weil es der Sicherheit dient"
WHILE_CUSTOMER = "bis Ihr Konto gelöscht wird"


@dataclass(frozen=True)
class Entry:
    heading: str
    columns: dict[str, str]  #: of each table, separated by blanks
    what: str
    purpose: str
    basis: str
    retention: str

    @property
    def text(self) -> str:
        """The entry as it is read on the page Datenschutz, which names the basis of everything once."""
        facts = {"Was": self.what, "Wozu": self.purpose, "Rechtsgrundlage": self.basis, "Wie lange": self.retention}
        if self.basis == TASK:
            del facts["Rechtsgrundlage"]
        return f"### {self.heading}\n\n" + "\n".join(f"- **{word}:** {fact}" for word, fact in facts.items())


REGISTER = (
    Entry(
        "Ihr Konto",
        {
            "customer": "number email email_canonical salutation first_name last_name school street postcode town "
            "phone created_at imported search"
        },
        "Kundennummer, E-Mail-Adresse, Name und Tag der Anlage. Wenn Sie es angeben: Anrede, Schule, Anschrift und "
        "Telefon.",
        "Medien verleihen, Sie erkennen und Sie erreichen. Anrede, Schule, Anschrift und Telefon sind freiwillig. Mit "
        "ihnen finden wir Ihr Konto schneller, wenn Sie anrufen.",
        TASK,
        WHILE_CUSTOMER,
    ),
    Entry(
        "Neue E-Mail-Adresse",
        {"customer": "pending_email pending_email_canonical"},
        "Eine neue E-Mail-Adresse, die noch nicht bestätigt ist.",
        "Prüfen, ob die neue Adresse Ihnen gehört.",
        TASK,
        "bis Sie die Adresse bestätigen oder zurücknehmen",
    ),
    Entry(
        "Ihr Passwort",
        {"customer": "password_hash password_set_at locked_at"},
        "Ein Prüfwert Ihres Passworts, nie das Passwort selbst. Wann es gesetzt wurde. Ob Ihr Konto gesperrt ist.",
        "Nur Sie sollen in Ihr Konto kommen.",
        SECURITY,
        WHILE_CUSTOMER,
    ),
    Entry(
        "Angemeldete Geräte",
        {
            "login_session": "token_hash customer_id clerk_id started_at last_seen idle_after expires_at ended_at "
            "password_checked_at awaits_code device"
        },
        "Wann und womit Sie angemeldet sind, zum Beispiel „Firefox unter Windows“.",
        "Sie angemeldet halten. Sie sollen sehen, wo Sie angemeldet sind.",
        SECURITY,
        f"{SESSIONS_KEPT.days} Tage nach dem Abmelden",
    ),
    Entry(
        "Links zum Konto",
        {
            "account_link": "kind customer_id clerk_id email nonce token_hash issued_by initials issued_at expires_at "
            "opened_at ended_at ended_as code_tries renewals"
        },
        "An welche Adresse ein Link ging, wer ihn gesendet hat, wann er geöffnet und benutzt wurde.",
        "Sie wieder in Ihr Konto lassen. Jeder Link darf nur einmal gelten.",
        TASK,
        f"{LINKS_KEPT.days} Tage nach dem Ende des Links",
    ),
    Entry(
        "E-Mails an Sie",
        {
            "outgoing_mail": "template recipient recipient_canonical customer_id clerk_id link_id facts message_id "
            "queued_at state next_try_at tries leased_until settled_at retried_at outage_since reply_code reason"
        },
        "Art der E-Mail, Empfänger, Zeit und Antwort des Mailservers. Den Text der E-Mail speichern wir nicht.",
        "E-Mails zustellen. Ihnen sagen können, warum eine E-Mail nicht ankam.",
        TASK,
        f"{MAILS_KEPT.days} Tage nach dem Versand",
    ),
    Entry(
        "Passwort vergessen",
        {"recovery_request": "reference email_canonical requested_at source answered_at outcome customer_id"},
        "Die eingegebene E-Mail-Adresse, Vorgangsnummer, Zeit, Ergebnis und die Internet-Adresse (IP).",
        "Ihnen einen Link senden. Verhindern, dass jemand Ihr Postfach mit E-Mails füllt.",
        TASK,
        f"{REQUESTS_KEPT.days} Tage, die Internet-Adresse höchstens {{source_retention}}",
    ),
    Entry(
        "Verlauf",
        {"audit_event": "at action actor customer_id clerk_id details source"},
        "Was mit Ihrem Konto geschah, wann und durch wen. Dazu die Internet-Adresse (IP).",
        "Missbrauch erkennen und aufklären. Sie können Ihren Verlauf selbst lesen.",
        SECURITY,
        "{audit_retention}, die Internet-Adresse {source_retention}",
    ),
    Entry(
        "Schutz vor Ausprobieren",
        {"throttle": "account failures failed_at", "source_failure": "source account failed_at"},
        "Zahl und Zeit der Fehlversuche unter einem verschlüsselten Zeichen. Dazu die Internet-Adresse (IP).",
        "Niemand soll Passwörter durchprobieren.",
        SECURITY,
        f"Fehlversuche {THROTTLES_KEPT.days} Tage, die Internet-Adresse {{source_retention}}. Nach sehr vielen "
        "Fehlversuchen: bis ein neues Passwort gesetzt ist.",
    ),
    Entry(
        "Mitarbeiterinnen und Mitarbeiter",
        {
            "clerk": "email email_canonical name initials admin password_hash password_set_at locked_at created_at "
            "factor_nonce factor_step recovery_codes_used"
        },
        "Name, Kürzel, dienstliche E-Mail-Adresse, Prüfwerte für Passwort und zweiten Faktor.",
        "Nur Berechtigte sollen im Kundenservice arbeiten.",
        SECURITY,
        "so lange der Zugang besteht",
    ),
)

#: Columns that say nothing about a person: the places of rows, counters, a worker's sign of life, spent puzzles.
TECHNICAL = {
    "customer": "id version",
    "clerk": "id version",
    **dict.fromkeys(("login_session", "account_link", "outgoing_mail", "recovery_request", "audit_event"), "id"),
    "heartbeat": "loop beat_at",
    "used_puzzle": "puzzle expires_at",
}


def text() -> str:
    return "\n\n".join(entry.text for entry in REGISTER)
