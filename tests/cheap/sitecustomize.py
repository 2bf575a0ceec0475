"""Python imports this first if the folder is on PYTHONPATH: each process of a portal then hashes cheaply."""

import tests.cheap_hashing  # noqa: F401
