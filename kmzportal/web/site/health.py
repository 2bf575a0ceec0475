"""Liveness and readiness for monitoring, available under any Host header."""

from datetime import UTC, datetime

from flask import Blueprint, Response, abort, current_app, jsonify, request
from sqlalchemy.exc import DBAPIError, TimeoutError

from kmzportal.db import db, schema_version, up_to_date
from kmzportal.services import diagnosis, outbox
from kmzportal.services.metrics import Metric, collect
from kmzportal.web.auth import anyone

LOOPBACK_PEERS = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
PROXY_HEADERS = ("X-Forwarded-For", "Forwarded")
#: Prometheus' text format, https://prometheus.io/docs/instrumenting/exposition_formats/
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

bp = Blueprint("health", __name__)


@bp.get("/healthz")
@anyone
def healthz() -> Response:
    """Respond whenever the process runs; to the doctor's own probe with what has arrived through the proxy."""
    if not diagnosis.is_own_probe(current_app.config, request.args.get("probe", "")):
        return Response("ok\n", mimetype="text/plain")
    hops = [hop for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
    return jsonify(
        host=request.headers.get("Host", ""),
        scheme=request.scheme,
        hops=len(hops),
        source=request.remote_addr,
        buffered="Transfer-Encoding" not in request.headers,  # a proxy that buffers knows the length
    )


@bp.get("/readyz")
@anyone
def readyz() -> Response:
    """Respond with 503 unless the database is migrated to the version of this code, and can be written.

    That is known from the worker's heartbeat, which it writes every few seconds: a GET writes nothing.
    """
    try:
        ready = up_to_date() and not outbox.worker_silent(db.session(), datetime.now(UTC))
    except (DBAPIError, TimeoutError):
        ready = False
    return Response("ready\n" if ready else "not ready\n", 200 if ready else 503, mimetype="text/plain")


@bp.get("/metrics")
@anyone
def figures() -> Response:
    """Respond with figures for Prometheus, only to this machine itself and not through a proxy."""
    if request.remote_addr not in LOOPBACK_PEERS or any(name in request.headers for name in PROXY_HEADERS):
        abort(404)
    try:
        metrics = list(collect(db.session(), datetime.now(UTC), current_app.config, schema_version()))
    except DBAPIError:
        return Response("database down\n", 503, mimetype="text/plain")
    return Response("".join(map(_exposition, metrics)), content_type=CONTENT_TYPE)


def _exposition(metric: Metric) -> str:
    name = f"kmzportal_{metric.name}"
    lines = [f"# HELP {name} {metric.help}", f"# TYPE {name} gauge"]
    for value_of_label, value in metric.values.items():
        label = f'{{{metric.label}="{value_of_label}"}}' if metric.label else ""
        lines.append(f"{name}{label} {value:.15g}")
    return "\n".join([*lines, ""])
