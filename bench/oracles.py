"""Whether the time of an answer tells what the answer does not: interleaved samples, as likelihoods (AUC).

The app is called in this process, without a network between, so that less noise hides a difference.
"""

import random
import re
import time
from datetime import UTC, datetime

from sqlalchemy import func, select, update

from bench import PASSWORD
from bench.customers import create_portal
from bench.systems import PORTAL
from bench.table import figures, slower
from kmzportal.db import db
from kmzportal.models import Clerk, Customer
from kmzportal.services import sessions
from kmzportal.services.passwords import hash_password
from kmzportal.services.transaction import transaction
from tests.browser import Browser

NO_LIMITS = {"MAILS_PER_DAY": 1_000_000, "PROOF_LIFETIME": 86_400, "THROTTLE_SOURCE_ACCOUNTS": 1_000_000}
SAMPLES = 1000, 300  # of each kind: recovery and new addresses, logins
WRONG = "falsches passwort"
KINDS = ("unknown", "locked", "never activated")


def take_turns(kinds, times, send):
    """Return the milliseconds that `send(kind, number)` took, by kind, in random order."""
    taken = {kind: [] for kind in kinds}
    numbers = {kind: iter(range(1, times + 1)) for kind in kinds}
    for kind in random.sample(list(kinds) * times, len(kinds) * times):
        taken[kind].append(send(kind, next(numbers[kind])))
    return taken


def timed(browser, path, **fields):
    began = time.perf_counter()
    answer = browser.post(path, **fields)
    milliseconds = (time.perf_counter() - began) * 1000
    assert answer.status_code in (303, 422), answer.text
    return milliseconds


def measure_recovery(app, times):
    browser = Browser(app).open("/passwort-vergessen")

    def ask(kind, number):
        name = "person" if kind == "known" else "nobody"
        return timed(browser, "/passwort-vergessen", email=f"{name}{number}@schule.example")

    taken = take_turns(("known", "unknown"), times, ask)
    note("recovery: known slower than unknown", taken["known"], taken["unknown"])


def measure_new_address(app, times):
    """Konto anpassen with taken and free addresses, all entered by one customer."""
    with app.app_context(), transaction("visitor") as tx:
        asker = tx.session.scalar(select(Customer).where(Customer.number == f"K-{times + 1}"))
        new = sessions.start_session(tx, asker, "Firefox unter Linux")
        new.login_session.password_checked_at = tx.now
    browser = Browser(app).come_in(new.token)

    def enter(kind, number):
        page = browser.open("/einstellungen/konto").answer.text
        version = re.search(r'name="version"[^>]* value="(\d+)"', page)[1]
        address = f"{'person' if kind == 'taken' else 'nobody'}{number}@schule.example"
        return timed(browser, "/einstellungen/konto", version=version, last_name="Berger", salutation="", email=address)

    taken = take_turns(("taken", "free"), times, enter)
    note("new address: taken slower than free", taken["taken"], taken["free"])


def measure_logins(app, times, table, path):
    """Refused logins, each of another account: with a wrong password, and of the other KINDS."""
    with app.app_context():
        ids = db.session.scalars(select(table.id).order_by(table.id).limit(3 * times)).all()
        changes = {"locked": {"locked_at": datetime.now(UTC)}, "never activated": {"password_hash": None}}
        emails = {"unknown": [f"nobody{number}@schule.example" for number in range(times)]}
        for index, kind in enumerate(("wrong", "locked", "never activated")):
            mine = table.id.in_(ids[index * times : (index + 1) * times])
            emails[kind] = db.session.scalars(select(table.email).where(mine)).all()
            if kind in changes:
                db.session.execute(update(table).where(mine).values(changes[kind]))
        db.session.commit()
    browser = Browser(app).open(path)

    def log_in(kind, number):
        return timed(browser, path, email=emails[kind][number - 1], password=WRONG)

    taken = take_turns(("wrong", *KINDS), times, log_in)
    for kind in KINDS:
        note(f"login, {table.__tablename__}: {kind} slower than wrong", taken[kind], taken["wrong"])


def note(figure, some, others):
    figures[figure, PORTAL.name] = [slower(some, others)]


def measure(folder, quick):
    times, logins = (20, 4) if quick else SAMPLES
    hashed = hash_password(PASSWORD)
    settings = {"SQLALCHEMY_DATABASE_URI": f"sqlite:///{folder}/oracles.db", "PROXY_HOPS": 1}
    settings["PUBLIC_URL"] = "https://konto.kmz.example"
    app = create_portal(max(times + 1, 3 * logins), hashed, **settings)
    app.config.update(NO_LIMITS)
    with app.app_context():
        for number in range(3 * logins):
            clerk = Clerk(name="R", initials=f"{number}", password_hash=hashed, created_at=datetime.now(UTC))
            clerk.set_email(f"clerk{number}@kmz.example")
            db.session.add(clerk)
        db.session.commit()
        assert db.session.scalar(select(func.count(Clerk.id))) == 3 * logins
    measure_recovery(app, times)
    measure_new_address(app, times)
    measure_logins(app, logins, Clerk, "/kundenservice/anmelden")
    measure_logins(app, logins, Customer, "/anmelden")
    with app.app_context():
        db.engine.dispose()
