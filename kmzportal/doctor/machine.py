"""This computer, and the files of the portal."""

import os
import resource
import shutil
import time
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from sqlalchemy import make_url

from kmzportal.doctor.check import Checks, Finding, Skip, fail, listed, warn
from kmzportal.services import instance

MIB = 2**20
PER_HASH, BASE, PROCESSES = 64, 200, 2  # MiB for each password, for all processes together; those that serve pages
LOW_DISK, LOW_PERCENT = 500, 5
FILES = 1024
NETWORK_DISKS = ("nfs", "cifs", "smb", "9p", "fuse.sshfs", "fuse.gluster", "ceph")
OLD = 3600  # seconds; younger ones belong to a command that runs


def _installed(requirement: Requirement) -> bool:
    try:
        return requirement.specifier.contains(version(requirement.name), prereleases=True)
    except PackageNotFoundError:
        return False


class Machine(Checks):
    def libraries(self) -> Finding | None:
        needed = [Requirement(line) for line in requires("kmzportal") or ()]
        return listed(fail, [one.name for one in needed if not one.marker and not _installed(one)])

    def memory(self) -> Finding | None:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // MIB
        threads = self.config["HASHING_THREADS"]
        needed = BASE + threads * PER_HASH * PROCESSES
        return warn(total=total, needed=needed, threads=threads) if needed > total else None

    def open_files(self) -> Finding | None:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return warn(found=limit) if 0 <= limit < FILES else None

    def debug(self) -> Finding | None:
        return fail() if os.environ.get("FLASK_DEBUG", "0").lower() not in ("", "0", "false", "no") else None

    def owner(self) -> Finding | None:
        return listed(fail, instance.faults(self.instance))

    def modes(self) -> Finding | None:
        found = warn(found=" ".join(instance.open_to_others(self.instance)), folder=self.instance)
        return found if found.values["found"] else None

    def disk(self) -> Finding | None:
        if not self.instance.is_dir():
            raise Skip
        total, _, free = shutil.disk_usage(self.instance)
        percent = 100 * free // (total or 1)
        if free >= LOW_DISK * MIB and percent >= LOW_PERCENT:
            return None
        status = fail if free < LOW_DISK * MIB else warn
        return status(folder=self.instance, free=free // MIB, percent=percent)

    def network_disk(self) -> Finding | None:
        url = make_url(self.config["SQLALCHEMY_DATABASE_URI"])
        if url.get_backend_name() != "sqlite":
            raise Skip
        path = (self.instance / (url.database or "")).resolve()
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text("utf-8").splitlines()]
        mount, kind = max((one for one in mounts if path.is_relative_to(one[0])), key=lambda one: len(one[0]))
        return fail(kind=kind, mount=mount) if kind.startswith(NETWORK_DISKS) else None

    def leftovers(self) -> Finding | None:
        folders = (self.instance, self.instance / "backups")
        found = [path for folder in folders for kind in (".kmzportal-*", ".restore-*") for path in folder.glob(kind)]
        return listed(warn, [str(path) for path in found if time.time() - path.lstat().st_mtime > OLD])
