"""The business logic, one module per feature. Independent of Flask (except transaction.py), forms and mail server."""
