"""Is this process alive, and can it do its work: checks that contexts register and a probe can ask."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from racoon.errors import RacoonError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finding:
    """What one readiness check found; the message is public."""

    name: str
    ready: bool
    message: str


class Health:
    """Readiness checks of a role: a check returns when all is well and raises when it is not."""

    def __init__(self) -> None:
        self._checks: dict[str, Callable[[], None]] = {}

    def register(self, name: str, check: Callable[[], None]) -> None:
        """Add a check; it must answer within a second or so, and raise a RacoonError to say what is wrong."""
        self._checks[name] = check

    def examine(self) -> list[Finding]:
        """Run all checks in the order they were registered."""
        return [self._examine(name, check) for name, check in self._checks.items()]

    def _examine(self, name: str, check: Callable[[], None]) -> Finding:
        try:
            check()
        except RacoonError as error:
            return Finding(name, False, error.public_message)
        except Exception as error:  # noqa: BLE001 -- a broken check means "not ready", not a broken probe
            _log.warning("a health check failed unexpectedly", exc_info=error)
            return Finding(name, False, "The check itself failed; see the log.")
        return Finding(name, True, "ok")
