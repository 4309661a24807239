"""Words and rules of onboarding: what a new site needs, what is done, and what comes next.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from racoon.central.sites.model import Site, SiteState
from racoon.errors import Defect

READINESS_COUNTS = timedelta(days=90)
"""An older test says little about a node that was updated since."""


class OnboardingDefect(Defect):
    """A request about onboarding is wrong."""

    code: ClassVar[str] = "onboarding.invalid"


@dataclass(frozen=True)
class Item:
    """One line of the checklist.

    Parameters
    ----------
    key
        Stable code.
    text
        What has to be done, English; translated when shown.
    by_hand
        Whether people tick it; all others are seen from here.
    """

    key: str
    text: str
    by_hand: bool = False


CHECKLIST: tuple[Item, ...] = (
    Item("mentor", "A mentor site accompanies the new one."),
    Item("contract", "The contract of the network is signed by the hospital.", by_hand=True),
    Item("firewall", "The network department has opened the one outgoing port.", by_hand=True),
    Item("machine", "The machine stands, is backed up, and one backup was read back.", by_hand=True),
    Item("join_code", "The join code was handed over by a trusted way and used."),
    Item("connected", "The node is connected and sends signs of life."),
    Item("certificate", "The node's certificate is valid for more than two weeks."),
    Item("people", "Accounts exist for the site's own roles; two people share what needs two.", by_hand=True),
    Item("trained", "The site's people went through the tutorial with the mentor.", by_hand=True),
    Item("process", "The site's own use and access process is written down, or it has none.", by_hand=True),
    Item("readiness", "The readiness test on invented images passed, not longer than 90 days ago."),
    Item("decided", "The site has taken its first decision on a study."),
)  # fmt: skip

BY_HAND = frozenset(item.key for item in CHECKLIST if item.by_hand)


@dataclass(frozen=True)
class Tick:
    """Something that a person confirmed."""

    key: str
    done_by: str
    done_at: datetime


@dataclass(frozen=True)
class Readiness:
    """The newest result of a site's readiness test, as its node signed it.

    Parameters
    ----------
    tested_at
        Aware time, by the node.
    version, policy_version
        Of the node's program, and of the limits the results went through.
    checks
        ``code``, ``is_ok`` and ``seconds`` of each part.
    """

    tested_at: datetime
    version: str
    policy_version: str
    checks: Sequence[Mapping[str, Any]]

    @property
    def is_ready(self) -> bool:
        """Whether all parts worked."""
        return bool(self.checks) and all(check["is_ok"] for check in self.checks)


@dataclass(frozen=True)
class Line:
    """One line of a site's checklist.

    Parameters
    ----------
    item
        What.
    is_done
        Whether it is done.
    tick
        Who confirmed it, for what people tick.
    """

    item: Item
    is_done: bool
    tick: Tick | None = None


@dataclass(frozen=True)
class Onboarding:
    """A site on its way.

    Parameters
    ----------
    site
        The site.
    mentor
        Code of the site that accompanies it; empty without one.
    lines
        The checklist.
    readiness
        Newest test; ``None`` before the first.
    """

    site: Site
    mentor: str
    lines: tuple[Line, ...]
    readiness: Readiness | None

    @property
    def done(self) -> int:
        """How many lines are done."""
        return sum(line.is_done for line in self.lines)

    @property
    def next(self) -> Item | None:
        """The first line that is not done; ``None`` when the site is in."""
        return next((line.item for line in self.lines if not line.is_done), None)


def onboarding_of(
    site: Site,
    mentor: str,
    ticks: Mapping[str, Tick],
    readiness: Readiness | None,
    *,
    is_connected: bool,
    has_decided: bool,
    now: datetime,
) -> Onboarding:
    """Fill a site's checklist.

    Parameters
    ----------
    site, mentor
        The site, and who accompanies it.
    ticks
        What people confirmed, by key.
    readiness
        Newest test.
    is_connected
        Whether its node sends signs of life now.
    has_decided
        Whether it took a decision on a study.
    now
        Aware time.
    """
    expires = site.certificate_expires_at
    seen = {
        "mentor": bool(mentor),
        "join_code": site.state is SiteState.ENROLLED,
        "connected": is_connected,
        "certificate": expires is not None and expires - now > timedelta(days=14),
        "readiness": readiness is not None
        and readiness.is_ready
        and now - readiness.tested_at <= READINESS_COUNTS,
        "decided": has_decided,
    }
    lines = tuple(
        Line(item, item.key in ticks if item.by_hand else seen[item.key], ticks.get(item.key))
        for item in CHECKLIST
    )
    return Onboarding(site, mentor, lines, readiness)
