"""What each check gets and returns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from flask import Flask

TIMEOUT = 5.0  # seconds, for each probe


@dataclass(eq=False)
class Portal:
    """What is checked. `app` is None where the settings do not allow one."""

    app: Flask | None
    instance: Path
    config: Mapping[str, Any]
    now: datetime
    faults: list[str] = field(default_factory=list)  #: of the settings, in German
    warnings: list[str] = field(default_factory=list)
    http_port: int | None = None  #: of plain http; None: 80

    @property
    def url(self) -> SplitResult:
        if not self.config["PUBLIC_URL"]:
            raise Skip
        return urlsplit(str(self.config["PUBLIC_URL"]))


@dataclass(frozen=True)
class Finding:
    """A fault: `values` are inserted into its sentences in services/diagnosis.toml."""

    status: str
    values: Mapping[str, Any]


class Skip(Exception):
    """The check does not apply here, or an earlier one names the cause."""


Check = Callable[[Portal], Finding | None]
CHECKS: dict[str, dict[str, Check]] = {}  #: by module, then by the key of their texts


def check(function: Check) -> Check:
    """Register a check under the name of its function. It returns its finding, None if all is well, or raises Skip."""
    CHECKS.setdefault(function.__module__, {})[function.__name__] = function
    return function


def warn(**values: Any) -> Finding:
    return Finding("warn", values)


def fail(**values: Any) -> Finding:
    return Finding("fail", values)


def listed(status: Callable[..., Finding], sentences: list[str]) -> Finding | None:
    """Return a finding with all these sentences or names, if there are any."""
    return status(found=" ".join(sentences)) if sentences else None
