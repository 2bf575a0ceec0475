"""Log lines with time, level and request id, as text or JSON, without mail addresses, tokens and source addresses."""

import json
import logging
import re
import secrets
import time
from datetime import UTC, datetime
from traceback import format_tb

from flask import g, has_request_context
from sqlalchemy.exc import SQLAlchemyError

from kmzportal.db import reason

REPEAT_AFTER = 60.0  # seconds until the same database error is logged again
LINES_PER_HOUR = (
    60  # of one place in the code and process: strangers send requests that are logged, as many as they like
)
LONGEST_MESSAGE = 4000  # characters: strangers send what is logged
#: Mail addresses, tokens in paths, and clients in gunicorn's messages about invalid requests.
PRIVATE = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)*|(?<=/link/)[^\s/?\"']+|(?<=\bip=)\S+")

log = logging.getLogger(__name__)
_logged: dict[str, tuple[float, str]] = {}  # by reason: when the error was last logged, and the request id of that line


def configure(log_format: str) -> None:
    """Write log lines to stderr, "text" or "json": those of the portal from INFO on, of libraries from WARNING on."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter(as_json=log_format == "json"))
    handler.addFilter(Bound())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("kmzportal").setLevel(logging.INFO)


def request_id() -> str:
    """Return the id of this request, "-" outside of requests. Ids that clients send are not used."""
    return str(g.setdefault("request_id", secrets.token_hex(4).upper())) if has_request_context() else "-"


class Bound(logging.Filter):
    """Lets each place in the code write LINES_PER_HOUR; the next hour's first line says how many were left out."""

    def __init__(self) -> None:
        super().__init__()
        self.hours: dict[tuple[str, int], tuple[float, int]] = {}  # by place: when the hour ends, and lines since then

    def filter(self, record: logging.LogRecord) -> bool:
        place, now = (record.pathname, record.lineno), time.monotonic()
        ends, lines = self.hours.get(place, (0.0, 0))
        left_out = lines - LINES_PER_HOUR
        if now >= ends:
            ends, lines = now + 3600, 0
        self.hours[place] = ends, lines + 1
        if lines == 0 and left_out > 0:
            record.msg, record.args = f"{record.getMessage()} (… und {left_out} weitere in der Stunde davor)", None
        elif lines + 1 == LINES_PER_HOUR:
            record.msg, record.args = f"{record.getMessage()} (weitere werden eine Stunde lang nur gezählt)", None
        return lines < LINES_PER_HOUR


class LineFormatter(logging.Formatter):
    def __init__(self, as_json: bool):
        super().__init__()
        self.as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "request": request_id(),
            "message": PRIVATE.sub("…", record.getMessage()[:LONGEST_MESSAGE]),
        }
        if record.exc_info:
            line["traceback"] = PRIVATE.sub("…", self.formatException(record.exc_info))
        if self.as_json:
            return json.dumps(line, ensure_ascii=False)
        text = "{time} {level} {logger} [{request}] {message}".format(**line)
        return "\n".join([text, *(f"    {more}" for more in line.get("traceback", "").splitlines())])


def log_traceback(doing: str, error: BaseException) -> None:
    """Log where an error happened, without its message, which may hold a mail or an address."""
    trace = "".join(format_tb(error.__traceback__))
    log.error("%s: %s\n%s", doing, type(error).__name__, trace, stacklevel=2)  # the place of the caller, see Bound


def log_database_error(doing: str, error: SQLAlchemyError, traceback: bool = False) -> str:
    """Log that the database failed, once a minute for the same reason; return the request id of the logged line."""
    why, now = reason(error), time.monotonic()
    at, logged_for = _logged.get(why, (now - REPEAT_AFTER, ""))
    if now - at >= REPEAT_AFTER:
        logged_for = request_id()
        if len(_logged) >= 100:  # a driver's message that holds a number must not fill the memory
            _logged.clear()
        _logged[why] = now, logged_for
        cause = error if traceback else None
        log.error("%s: Die Datenbank antwortet nicht (%s).", doing, why, exc_info=cause, stacklevel=2)
    return logged_for
