"""Jahresbericht: the months of a year as pictures, tables and CSV."""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue

from kmzportal.dates import BERLIN
from kmzportal.db import db
from kmzportal.models import BRANCHES, CHANNELS
from kmzportal.services import report
from kmzportal.services.customer_file import guard
from kmzportal.services.report import Period
from kmzportal.web.auth import clerk_only
from kmzportal.web.responses import render

bp = Blueprint("report", __name__, url_prefix="/kundenservice")

FIRST_YEAR = 2026  # the portal is not older
#: Audit actions of each column of the table of links.
COUNTED = {
    "Neues Passwort angefordert": (
        "recovery.sent",
        "recovery.extra",
        "recovery.unknown",
        "recovery.locked",
        "recovery.capped",
    ),
    "Links gesendet": ("recovery.sent", "link.sent", "address.corrected", "letter.handed_over", "letter.posted"),
    "Passwort mit Link gesetzt": ("password.set",),
    "E-Mails abgelehnt": ("mail.refused",),
    "E-Mails zurückgekommen": ("mail.bounced",),
}
Table = dict[str, list[Any]]  #: the values of all periods by the heading of their column


@bp.get("/bericht")
@clerk_only
def overview() -> ResponseReturnValue:
    year, years = _year()
    months = report.periods(db.session(), year, datetime.now(UTC), chain(*COUNTED.values()))
    return render("desk/report.html", months=months, tables=_tables(months), year=year, years=years)


@bp.get("/bericht.csv")
@clerk_only
def as_csv() -> ResponseReturnValue:
    year, _ = _year()
    months = report.periods(db.session(), year, datetime.now(UTC), chain(*COUNTED.values()))
    columns: Table = {"Monat": [month.name for month in months]}
    for table in _tables(months).values():
        columns |= table
    text = io.StringIO()
    rows = [columns.keys(), *zip(*columns.values(), strict=True)]
    csv.writer(text, delimiter=";").writerows([guard(str(cell)) for cell in row] for row in rows)
    response = Response(text.getvalue().encode("utf-8-sig"), mimetype="text/csv")  # Excel needs the byte order mark
    response.headers["Content-Disposition"] = f"attachment; filename=jahresbericht-{year}.csv"
    return response


def _tables(months: Sequence[Period]) -> dict[str, Table]:
    """Return the tables by their captions."""

    def cases(attribute: str, value: str) -> list[int]:
        return [sum(getattr(case, attribute) == value for case in month.cases) for month in months]

    written: Table = {"Anfragen": [len(month.cases) for month in months]}
    written |= {f"per {label}": cases("channel", name) for name, label in CHANNELS.items()}
    written |= {
        "Beantwortet oder fällig": [month.due for month in months],
        "Davon rechtzeitig": [month.in_time for month in months],
        "Tage bis zum benutzten Link (Median)": [_in_german(month.median_days) for month in months],
    }
    return {
        "Links": {heading: [month.number_of(*actions) for month in months] for heading, actions in COUNTED.items()},
        "Anfragen": written,
        "Anfragen nach Anlass": {label: cases("branch", name) for name, label in BRANCHES.items()},
    }


def _in_german(number: float | None) -> str:
    return "" if number is None else f"{number:g}".replace(".", ",")


def _year() -> tuple[int, range]:
    """Return the year in the URL, or this one, and all that can be chosen."""
    this_year = datetime.now(BERLIN).year
    years = range(FIRST_YEAR, this_year + 1)
    wanted = request.args.get("jahr", this_year, type=int)
    return (wanted if wanted in years else this_year), years
