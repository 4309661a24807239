"""Why the demo cannot be run as it was asked to."""

from __future__ import annotations

from typing import ClassVar

from racoon.errors import Refused


class DemoRefused(Refused):
    """The demo cannot be run like this."""

    code: ClassVar[str] = "demo.refused"
