"""The database, and what it knows about the work of the portal."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from kmzportal.dates import format_datetime
from kmzportal.db import NEWEST_VERSION, db, reason, schema_version
from kmzportal.doctor.check import Checks, Finding, Skip, fail, warn
from kmzportal.models import Clerk, Heartbeat, MailState, OutgoingMail
from kmzportal.services import alarms, keys, outbox, passkeys, support_mail
from kmzportal.services import audit_chain as chains
from kmzportal.services import clock as clocks
from kmzportal.services.backup import OUR_NAME

LARGE_WAL = 64  # MiB
POSTGRESQL = 13
MOST_CONNECTIONS = 0.8
PURGED_WITHIN = timedelta(hours=2)
BACKUP_WITHIN = timedelta(hours=26)
WAITS_LONG = timedelta(hours=1)
MANY_MAILS, MANY_REFUSED = 10, 0.2


def _only_on(engine: str) -> None:
    if db.engine.dialect.name != engine:
        raise Skip


class Database(Checks):
    def database(self) -> Finding | None:
        try:
            db.session.execute(select(1))
        except DBAPIError as error:
            return fail(answer=reason(error))
        return None

    def migrations(self) -> Finding | None:
        found = schema_version()
        return None if found == NEWEST_VERSION else fail(found=found or "0000", needed=NEWEST_VERSION)

    def wal(self) -> Finding | None:
        _only_on("sqlite")
        mode = db.session.scalar(text("PRAGMA journal_mode"))
        return None if mode == "wal" else warn(found=mode)

    def wal_size(self) -> Finding | None:
        _only_on("sqlite")
        file = Path(f"{db.engine.url.database}-wal")
        size = file.stat().st_size // 2**20 if file.exists() else 0
        return warn(file=file, size=size) if size > LARGE_WAL else None

    def integrity(self) -> Finding | None:
        _only_on("sqlite")
        try:
            answer = db.session.scalar(text("PRAGMA quick_check(1)"))
        except DBAPIError as error:
            answer = reason(error)
        return None if answer == "ok" else fail(answer=answer)

    def postgresql_version(self) -> Finding | None:
        _only_on("postgresql")
        found = int(db.session.scalar(text("SHOW server_version_num")) or 0) // 10_000
        return warn(found=found, needed=POSTGRESQL) if found < POSTGRESQL else None

    def pg_trgm(self) -> Finding | None:
        _only_on("postgresql")
        return None if db.session.scalar(text("SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm'")) else fail()

    def connections(self) -> Finding | None:
        _only_on("postgresql")
        used = (
            db.session.scalar(text("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")) or 0
        )
        limit = int(db.session.scalar(text("SHOW max_connections")) or 0)
        return warn(used=used, limit=limit) if used > limit * MOST_CONNECTIONS else None

    def key_fingerprints(self) -> Finding | None:
        differing = keys.differing(db.session(), self.config)
        return fail(found=", ".join(differing)) if differing else None

    def audit_chain(self) -> Finding | None:
        verdict = chains.verify(db.session(), self.config, chains.RECENT)
        return fail(found=verdict.fault) if verdict.fault else None

    def clock(self) -> Finding | None:
        fault = clocks.fault(db.session(), self.now)
        return fail(found=f"{fault}.") if fault else None

    def admin(self) -> Finding | None:
        return (
            None if db.session.scalar(select(Clerk).where(Clerk.admin, Clerk.locked_at.is_(None)).limit(1)) else fail()
        )

    def alarms(self) -> Finding | None:
        found = alarms.of_last_day(db.session(), self.now)
        return warn(found="; ".join(found)) if found else None

    def second_factor(self) -> Finding | None:
        mode = self.config["STAFF_SECOND_FACTOR"]
        if mode == "offered":
            raise Skip
        without = [~Clerk.passkeys.any(), Clerk.locked_at.is_(None), Clerk.password_hash.is_not(None)]
        if mode == "required":
            without.append(Clerk.factor_nonce.is_(None))
        number = db.session.scalar(select(func.count()).select_from(Clerk).where(*without))
        return warn(number=number) if number else None

    def passkeys(self) -> Finding | None:
        others = passkeys.of_other_hosts(db.session(), self.config)
        found = ", ".join(f"{number} unter {host}" for host, number in others.items())
        return warn(number=sum(others.values()), found=found) if others else None

    def worker(self) -> Finding | None:
        return fail() if outbox.worker_silent(db.session(), self.now) else None

    def purge(self) -> Finding | None:
        beat = db.session.get(Heartbeat, outbox.PURGE_LOOP)
        if beat and not beat.failing_since and self.now - beat.beat_at <= PURGED_WITHIN:
            return None
        return warn(found=format_datetime(beat.beat_at) if beat else "nie", reason=(beat and beat.failure) or "")

    def mailbox_read(self) -> Finding | None:
        if not self.config["IMAP_SERVER"]:
            raise Skip
        outage = support_mail.inbox_outage(db.session(), self.config)
        return fail(since=format_datetime(outage[0]), reason=outage[1]) if outage else None

    def outbox_age(self) -> Finding | None:
        waiting = OutgoingMail.state.in_((MailState.QUEUED, MailState.DEFERRED))
        oldest = db.session.scalar(select(func.min(OutgoingMail.queued_at)).where(waiting))
        return warn(since=format_datetime(oldest)) if oldest and self.now - oldest > WAITS_LONG else None

    def refused_mails(self) -> Finding | None:
        states = db.session.scalars(
            select(OutgoingMail.state).where(OutgoingMail.settled_at > self.now - timedelta(days=1))
        ).all()
        refused = sum(state in (MailState.REFUSED, MailState.BOUNCED) for state in states)
        many = len(states) >= MANY_MAILS and refused > len(states) * MANY_REFUSED
        return warn(refused=refused, number=len(states)) if many else None

    def backup(self) -> Finding | None:
        folder = self.instance / "backups"
        made = [path.stat().st_mtime for path in folder.glob("*") if OUR_NAME.fullmatch(path.name)]
        newest = datetime.fromtimestamp(max(made), UTC) if made else None
        if newest and self.now - newest <= BACKUP_WITHIN:
            return None
        return warn(folder=folder, found=f"die letzte ist von {format_datetime(newest)}" if newest else "es gibt keine")
