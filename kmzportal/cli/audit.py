"""kmzportal audit: whether the audit trail was changed beside the portal."""

import re
import sys

import click
from flask import current_app

from kmzportal.cli.database import DatabaseGroup
from kmzportal.cli.fault import Fault
from kmzportal.db import db
from kmzportal.services import audit_chain
from kmzportal.services.transaction import transaction

audit = DatabaseGroup("audit", help="Das Protokoll des Kundenservice.")

NO_END = "„{known}“ ist kein Ende der Kette. Es steht im Protokoll des Rechners hinter „Die Kette endet bei“."
WHOLE = "Das Protokoll ist unverändert. Geprüfte Einträge: {number}, noch nicht in der Kette: {waiting}, Ende: {end}"


@audit.command()
@click.option("--known", metavar="ENDE", default="", help="Ein früheres Ende der Kette, das es noch geben muss.")
def verify(known: str) -> None:
    """Prüft, ob Einträge am Portal vorbei verändert, entfernt oder eingefügt wurden.

    Der Code ist 1, wenn es so ist. Was noch nicht in der Kette ist, meist die letzten zwei Sekunden, ist nicht gegen
    Entfernen gesichert.
    """
    if known and not re.fullmatch(r"[1-9]\d{0,18}:[0-9a-f]{64}", known):
        raise Fault(NO_END.format(known=known))
    verdict = audit_chain.verify(db.session(), current_app.config, known=known)
    if verdict.fault:
        click.echo(f"Das Protokoll wurde verändert. {verdict.fault}")
        sys.exit(1)
    click.echo(WHOLE.format(number=verdict.number, waiting=verdict.waiting, end=verdict.end))


@audit.command()
@click.option("--why", metavar="GRUND", required=True, help="Was geschehen ist; steht danach im Protokoll.")
def accept(why: str) -> None:
    """Beginnt die Kette neu, wenn ein Fehler aufgeklärt ist.

    Was davor war, wird nicht mehr geprüft.
    """
    with transaction("console") as tx:
        audit_chain.begin_anew(tx.session, tx.settings)
        tx.record("audit.accepted", why=why)
    click.echo("Die Kette beginnt neu. Warum, steht im Protokoll.")
