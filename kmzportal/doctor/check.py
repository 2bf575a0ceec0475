"""What the groups of checks have in common."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from flask import Flask

TIMEOUT = 5.0  # seconds, for each probe
CLOCKS_DIFFER = 15  # seconds; a code of a second factor is valid for 30


@dataclass
class Checks:
    """Checks of one kind: each public method of a subclass, with the name of its texts in services/diagnosis.toml.

    It returns its finding, None if all is well, or raises Skip. `app` is None where the settings do not allow one.
    """

    app: Flask | None
    instance: Path
    config: Mapping[str, Any]
    now: datetime
    faults: list[str] = field(default_factory=list)  #: of the settings, in German
    warnings: list[str] = field(default_factory=list)
    http_port: int | None = None  #: of plain http; None: 80

    @classmethod
    def names(cls) -> list[str]:
        return [name for name in vars(cls) if not name.startswith("_")]

    @property
    def url(self) -> SplitResult:
        if not self.config["PUBLIC_URL"]:
            raise Skip
        return urlsplit(str(self.config["PUBLIC_URL"]))


@dataclass(frozen=True)
class Finding:
    """A fault: `values` are inserted into its three sentences."""

    status: str
    values: Mapping[str, Any]


class Skip(Exception):
    """The check does not apply here, or an earlier one names the cause."""


def warn(**values: Any) -> Finding:
    return Finding("warn", values)


def fail(**values: Any) -> Finding:
    return Finding("fail", values)


def listed(status: Callable[..., Finding], sentences: list[str]) -> Finding | None:
    """Return a finding with all these sentences or names, if there are any."""
    return status(found=" ".join(sentences)) if sentences else None
