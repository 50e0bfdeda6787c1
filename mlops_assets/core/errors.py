"""Errors a person can cause, or mend: every message says what happened, where, and what to do next."""

from pathlib import Path


class PlatformError(Exception):
    """Base of every error this platform raises on purpose; its text is meant for a person."""

    def __init__(self, what: str, todo: str = "") -> None:
        self.what = what
        self.todo = todo
        super().__init__(f"{what} {todo}".strip())


class UsageError(PlatformError):
    """The command or its arguments cannot mean anything (exit code 2)."""


class ConfigError(PlatformError):
    """A setting, a line's YAML or an environment variable is wrong."""


class MissingExtra(PlatformError):
    """A package of an optional extra is needed and not installed."""


class NotFound(PlatformError):
    """A line, batch, version, decision or artifact that does not exist was named."""


class Refused(PlatformError):
    """The request is well formed and the platform says no: a rule forbids it."""


class Forbidden(Refused):
    """It may be done, but not by who asks."""


class Stale(PlatformError):
    """The world moved since the decision was made: production is another version now."""


class Busy(PlatformError):
    """Someone else holds the line; nothing was done, trying again later is right."""


class Unavailable(PlatformError):
    """An outside service gave no usable answer; the platform goes on without it and says so."""


class TaskFailed(PlatformError):
    """A training or scoring process ended without a result: killed, out of memory, out of time, or crashed."""

    def __init__(self, what: str, todo: str = "", *, cause: str = "", log: Path | None = None) -> None:
        self.cause = cause
        self.log = log
        super().__init__(what, todo)


class Corrupt(PlatformError):
    """Stored bytes or a ledger entry are not what their digest says."""
