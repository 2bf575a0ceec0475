"""Whoever imports this hashes in a fifth of a millisecond; test_passwords.py and test_https.py take real measures."""

from argon2 import PasswordHasher

from kmzportal.domain import passwords

passwords._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
