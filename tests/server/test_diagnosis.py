"""The worker of a running portal checks when an admin asks, and ends at once while a probe hangs."""

import socket
import time

import pytest
from sqlalchemy import select

from kmzportal import create_app
from kmzportal.db import close
from kmzportal.models import Diagnosis
from kmzportal.services import diagnosis
from tests.backend import Backend
from tests.server.conftest import free_port, until

pytestmark = pytest.mark.trial


@pytest.fixture
def rows(tmp_path):
    """Return a function that reads the results of the portal in this folder, and one that asks for new ones."""
    app = create_app({}, tmp_path, make_keys=False)
    backend = Backend(app)
    yield lambda: backend.read(select(Diagnosis)), lambda: backend.run(diagnosis.check_now)
    with app.app_context():
        close()


def test_a_check_on_demand_is_made_by_the_worker_and_does_not_delay_its_end(start, tmp_path, request):
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        hanging.settimeout(60)
        mail = {"MAIL_SERVER": "127.0.0.1", "MAIL_PORT": str(hanging.getsockname()[1]), "MAIL_TIMEOUT": "20"}
        portal = start("serve", PUBLIC_URL=f"http://127.0.0.1:{free_port()}", PROXY_HOPS="0", **mail)
        until(portal.answers)
        rows, check_now = request.getfixturevalue("rows")
        (row,) = until(rows)
        assert row.checked_at is None
        check_now()
        hanging.accept()[0].close()
        (row,) = until(lambda: [row for row in rows() if row.checked_at])
        statuses = {result["check"]: result["status"] for result in row.results}
        assert statuses["worker"] == statuses["integrity"] == "ok"
        assert statuses["smtp_connection"] == statuses["reachable"] == "fail"
        check_now()
        with hanging.accept()[0]:
            started = time.monotonic()
            assert portal.end() == 0 and time.monotonic() - started < 15
