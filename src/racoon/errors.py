"""Every error of the product, by what to do next.

::

    RacoonError
    ├── Refused       a rule says no; never retry
    ├── Unavailable   try again later; the queue retries with back-off
    └── Defect        data or program wrong; quarantine it and tell a person

An error carries a stable ``code``, a ``public_message`` that may cross the hospital wall, and private ``details``
that never do.  Contexts define their own subclasses beside their code and set ``code`` on the class.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

Kind = Literal["refused", "unavailable", "defect"]


class RacoonError(Exception):
    """Root of all errors a user or a peer can meet.

    Parameters
    ----------
    public_message
        One sentence without identifiers that says what happened and what to do next; it may cross the wall.
    code
        Stable machine-readable code; defaults to the class's own.
    details
        Facts for the local log and audit only.  They are never serialised to a peer or a browser.
    """

    code: ClassVar[str] = "error"
    kind: ClassVar[Kind] = "defect"
    status: ClassVar[int] = 500

    def __init__(
        self, public_message: str, *, code: str | None = None, details: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(public_message)
        self.public_message = public_message
        self.error_code = code or type(self).code
        self.details: dict[str, object] = dict(details or {})

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with its fields: job queues carry errors between processes."""
        return (_rebuild, (type(self), self.public_message, self.error_code, self.details))


def _rebuild(
    cls: type[RacoonError], public_message: str, code: str, details: Mapping[str, object]
) -> RacoonError:
    return cls(public_message, code=code, details=details)


class Refused(RacoonError):
    """A rule says no.  Trying again changes nothing until a person decides otherwise."""

    code = "refused"
    kind = "refused"
    status = 403


class Unavailable(RacoonError):
    """Something needed is not there now.  The queue tries again with back-off."""

    code = "unavailable"
    kind = "unavailable"
    status = 503


class Defect(RacoonError):
    """Data or program is wrong.  The object goes to quarantine and a person is told."""

    code = "defect"
    kind = "defect"
    status = 422
