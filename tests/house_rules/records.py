"""What the code records, as its own text tells it."""

import ast
import re
from pathlib import Path

import kmzportal

PACKAGE = Path(kmzportal.__file__).parent


def recorded():
    """Return every deed that some code records, or refuses with."""
    refusing = {"record", "AccountLocked", "AddressTaken", "ChangedMeanwhile", "LinkUnusable", "TooManyMails", "_event"}
    for path in PACKAGE.rglob("*.py"):
        for call in (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)):
            if getattr(call.func, "attr", getattr(call.func, "id", None)) in refusing:
                words = [node.value for argument in call.args for node in ast.walk(argument) if is_text(node)]
                yield from (word for word in words if re.fullmatch(r"[a-z]+(\.[a-z_]+)?", word) and "." in word)


def recorded_details():
    """Return the names of all details that some code records a deed with."""
    for path in PACKAGE.rglob("*.py"):
        for call in (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)):
            if getattr(call.func, "attr", None) == "record":
                yield from (keyword.arg for keyword in call.keywords if keyword.arg)


def is_text(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
