"""The console script `kmzportal`: sets what must be set before Python begins, and becomes the portal.

It stands beside the package, because whatever stands in it imports all of it first.
"""

import os
import sys

#: Argon2 fills 64 MiB for each password; in huge pages, and in memory kept from one to the next, a login takes a
#: quarter less (see docs/decisions/0040). glibc keeps what is smaller than this many bytes, if all threads share it.
KEPT = 128 * 1024 * 1024
MEMORY = (
    "glibc.malloc.hugetlb=1",
    "glibc.malloc.arena_max=1",
    f"glibc.malloc.mmap_threshold={KEPT}",
    f"glibc.malloc.trim_threshold={KEPT}",
)


def main() -> None:
    tunables = [*MEMORY, os.environ.get("GLIBC_TUNABLES", "")]  # the operator's come last, and count
    os.environ["GLIBC_TUNABLES"] = ":".join(filter(None, tunables))
    os.execv(sys.executable, [sys.executable, "-P", "-m", "kmzportal", *sys.argv[1:]])  # noqa: S606  no shell is wanted
