"""The readiness test: the whole way of a study at this machine, on invented images in a folder that is thrown away.

Connection, keys and certificate are the node's own.  Intake, freeze, measurement, protected count and the technical
gate run with this site's rules and limits, but in rooms of their own: nothing invented ever reaches the site's archive,
pseudonyms, ledger or audit, and only which part worked and how long it took goes to CENTRAL.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa

from racoon import __version__
from racoon.errors import RacoonError
from racoon.node.app.operation import OPERATOR, person
from racoon.node.app.trial import NotReady, rooms_apart
from racoon.node.link.identity import Identity, load_identity
from racoon.node.link.service import Outbox
from racoon.node.release.service import ReleaseGate
from racoon.node.settings import (
    NodeSettings,
    load_node_settings,
)
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.certificates import public_key_text, remaining_days, sign, verify
from racoon.platform.database import Database
from racoon.platform.diagnosis.connection import Identity as PeerIdentity
from racoon.platform.diagnosis.connection import check_central
from racoon.protocol.messages import ReadinessCheck, SiteReadiness

_log = logging.getLogger(__name__)

CheckCode = Literal["connection", "keys", "certificate", "intake", "measure", "count", "gate", "refusal"]

NEXT_STEPS: dict[CheckCode, str] = {
    "connection": "Run racoon doctor on this machine; it names the firewall rule or proxy setting to ask for.",
    "keys": "Restore the folder identity from the last backup, or enrol again with a new join code.",
    "certificate": "Check that CENTRAL is reached; enrol again with a new join code if the date has passed.",
    "intake": "Look at deid.profile and at the message; invented images pass every profile that is shipped.",
    "count": "Look at release.feasibility and at the limits of release.site_policy.",
    "measure": "Install the extras this node lacks; racoon doctor names them.",
    "gate": "Look at release.white_list and at the limits of release.site_policy.",
    "refusal": "Do not connect this node: it let something run that nobody approved. Report it.",
}
"""What a person does when a part does not work."""


@dataclass(frozen=True)
class Part:
    """What one part of the test found.

    Parameters
    ----------
    code
        Which part.
    is_ok
        Whether it worked.
    seconds
        How long it took.
    detail
        What was found, for the people here; never leaves the site.
    next_step
        What to do, where it did not work.
    """

    code: CheckCode
    is_ok: bool
    seconds: float
    detail: str
    next_step: str


def examine_readiness(config: Path, *, send: bool = True) -> dict[str, Any]:
    """Test whether this node is ready for studies, and tell CENTRAL.

    Parameters
    ----------
    config
        The node's TOML file; the node is enrolled, and may run meanwhile.
    send
        Whether CENTRAL is told; the running node sends it.

    Returns
    -------
    dict
        ``is_ready``, ``parts`` and ``sent``.
    """
    settings = load_node_settings(config)
    identity = load_identity(settings.identity_folder, settings.site)
    parts: list[Part] = []
    _try(parts, "connection", lambda: _reach(identity))
    _try(parts, "keys", lambda: _use_keys(identity))
    _try(parts, "certificate", lambda: _look_at_certificate(identity))
    with tempfile.TemporaryDirectory(prefix="racoon-readiness-") as name:
        _on_invented_images(parts, settings, Path(name))
    is_ready = all(part.is_ok for part in parts)
    if send:
        _tell(settings, identity, parts)
    return {"is_ready": is_ready, "parts": [asdict(part) for part in parts], "sent": send}


def _try(parts: list[Part], code: CheckCode, work: Callable[[], str]) -> bool:
    begun = time.perf_counter()
    try:
        detail, is_ok = work(), True
    except (NotReady, RacoonError, OSError, ValueError, sa.exc.SQLAlchemyError) as error:
        detail, is_ok = str(error) or type(error).__name__, False
        _log.info("a part of the readiness test failed", exc_info=True)
    seconds = round(time.perf_counter() - begun, 3)
    parts.append(Part(code, is_ok, seconds, detail, "" if is_ok else NEXT_STEPS[code]))
    return is_ok


def _reach(identity: Identity) -> str:
    peer = PeerIdentity(identity.tls.certificate, identity.tls.key)
    found = check_central(identity.nodes_url, ca_file=identity.tls.authority, identity=peer)
    ways = [item for item in found if item.check.startswith("CENTRAL")]
    if not any(item.state == "ok" for item in ways):
        raise NotReady("; ".join(item.message for item in ways if item.state != "skipped"))
    return next(item.message for item in ways if item.state == "ok")


def _use_keys(identity: Identity) -> str:
    text = b"readiness"
    if not verify(public_key_text(identity.signing_key), sign(identity.signing_key, text), text):
        raise NotReady("The signing key does not fit itself.")
    return "signs and verifies"


def _look_at_certificate(identity: Identity) -> str:
    days = remaining_days(identity.tls.certificate)
    if days <= 0:
        raise NotReady("The certificate has ended.")
    return f"{days:.0f} days left"


def _on_invented_images(parts: list[Part], settings: NodeSettings, folder: Path) -> None:
    with rooms_apart(settings, folder) as trial:
        if _try(parts, "intake", trial.take_in):
            _try(parts, "refusal", trial.refuse)
            _try(parts, "count", trial.count)
            _try(parts, "measure", trial.measure)
            _try(parts, "gate", trial.look_at_gate)


def _tell(settings: NodeSettings, identity: Identity, parts: list[Part]) -> None:
    policy = settings.release.policy()
    message = SiteReadiness(
        version=__version__,
        tested_at=clock.now(),
        policy_version=policy.version,
        checks=[ReadinessCheck(code=part.code, is_ok=part.is_ok, seconds=part.seconds) for part in parts],
    )
    database, audit = Database(settings.database), AuditLog("node", policy.version)
    try:
        gate = ReleaseGate(policy, Outbox(identity, settings.artifacts_folder), audit)
        with database.begin() as connection:
            gate.announce(connection, "site.readiness", message)
            audit.append(
                connection,
                actor=person(),
                actor_role=OPERATOR,
                action="site.readiness",
                target=f"site/{settings.site}",
                outcome="success" if all(part.is_ok for part in parts) else "failure",
                details={part.code: part.is_ok for part in parts},
            )
    finally:
        database.dispose()
