"""Whoever imports this hashes in a fifth of a millisecond; test_passwords.py and test_https.py take real measures."""

from argon2 import PasswordHasher

from kmzportal.services import passwords as password_service

password_service._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
