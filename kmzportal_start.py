"""The console script `kmzportal`: sets what must be set before Python begins, and becomes the portal.

It stands beside the package, because whatever stands in it imports all of it first.
"""

import os
import sys

#: Argon2 fills 64 MiB for each password; in huge pages that takes a quarter less (see docs/decisions/0040).
HUGE_PAGES = "glibc.malloc.hugetlb=1"


def main() -> None:
    tunables = [HUGE_PAGES, os.environ.get("GLIBC_TUNABLES", "")]  # the operator's come last, and count
    os.environ["GLIBC_TUNABLES"] = ":".join(filter(None, tunables))
    os.execv(sys.executable, [sys.executable, "-P", "-m", "kmzportal", *sys.argv[1:]])  # noqa: S606  no shell is wanted
