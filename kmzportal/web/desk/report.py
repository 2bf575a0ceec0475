"""Jahresbericht: the months of a year as pictures, tables and CSV."""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue

from kmzportal.dates import BERLIN
from kmzportal.db import db
from kmzportal.models import BRANCHES, CHANNELS
from kmzportal.services import report
from kmzportal.services.report import Month
from kmzportal.web.auth import clerk_only
from kmzportal.web.responses import render

bp = Blueprint("report", __name__, url_prefix="/kundenservice")

FIRST_YEAR = 2026  # the portal is not older
Table = dict[str, list[Any]]  #: the values of all months by the heading of their column


@bp.get("/bericht")
@clerk_only
def overview() -> ResponseReturnValue:
    year, years = _year()
    months = report.months(db.session(), year, datetime.now(UTC))
    return render("desk/report.html", months=months, tables=_tables(months), year=year, years=years)


@bp.get("/bericht.csv")
@clerk_only
def as_csv() -> ResponseReturnValue:
    year, _ = _year()
    months = report.months(db.session(), year, datetime.now(UTC))
    columns: Table = {"Monat": [month.name for month in months]}
    for table in _tables(months).values():
        columns |= table
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerows([columns.keys(), *zip(*columns.values(), strict=True)])
    response = Response(text.getvalue().encode("utf-8-sig"), mimetype="text/csv")  # Excel needs the byte order mark
    response.headers["Content-Disposition"] = f"attachment; filename=jahresbericht-{year}.csv"
    return response


def _tables(months: Sequence[Month]) -> dict[str, Table]:
    """Return the tables by their captions."""

    def counts(name: str) -> list[int]:
        return [month.counts[name] for month in months]

    answered: Table = {
        "Beantwortet oder fällig": [month.due for month in months],
        "Davon rechtzeitig": [month.in_time for month in months],
        "Tage bis zum benutzten Link (Median)": [_in_german(month.median_days) for month in months],
    }
    by_branch: Table = {label: [month.branches[name] for month in months] for name, label in BRANCHES.items()}
    by_channel: Table = {f"per {label}": [month.channels[name] for month in months] for name, label in CHANNELS.items()}
    return {
        "Links": {
            "Neues Passwort angefordert": counts("asked"),
            "Links gesendet": counts("sent"),
            "Passwort mit Link gesetzt": counts("used"),
            "E-Mails abgelehnt": counts("refused"),
            "E-Mails zurückgekommen": counts("bounced"),
        },
        "Anfragen": {"Anfragen": [month.cases for month in months], **by_channel, **answered},
        "Anfragen nach Anlass": by_branch,
    }


def _in_german(number: float | None) -> str:
    return "" if number is None else f"{number:g}".replace(".", ",")


def _year() -> tuple[int, range]:
    """Return the year in the URL, or this one, and all that can be chosen."""
    this_year = datetime.now(BERLIN).year
    years = range(FIRST_YEAR, this_year + 1)
    wanted = request.args.get("jahr", this_year, type=int)
    return (wanted if wanted in years else this_year), years
