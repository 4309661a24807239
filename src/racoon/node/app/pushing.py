"""Sending to the FHIR server of the data integration centre, put together from the settings: for the command line."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, ClassVar

from racoon.errors import Refused
from racoon.node.app.administration import prepare
from racoon.node.app.clinic import facade_of
from racoon.node.app.operation import OPERATOR, person
from racoon.node.app.rooms import open_archive
from racoon.node.clinical.disclosing import Disclosing
from racoon.node.clinical.pushing import KINDS, Answer, Pusher, Send, ServerBusy
from racoon.node.settings import NodeSettings, load_node_settings
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database
from racoon.standards.fhir.answers import FHIR_JSON
from racoon.standards.fhir.building import Resource
from racoon.standards.fhir.transactions import types_without_identifier

TIMEOUT_S = 120.0


class PushNotConfigured(Refused):
    """The node's settings name no server to send to."""

    code: ClassVar[str] = "fhir.push_not_configured"


def push(config: Path, *, progress: Callable[[int], None] | None = None) -> dict[str, Any]:
    """Send what is new or changed to the server of the settings; returns counts.

    Raises
    ------
    PushNotConfigured
        If the settings name none.
    ServerBusy
        If it does not take anything now.
    """
    settings = load_node_settings(config)
    target = settings.fhir.push_to
    if not target:
        raise PushNotConfigured(
            "Set push_to in [fhir] of the node's settings to the address of the FHIR server."
        )
    prepare(settings)
    database = Database(settings.database)
    audit = AuditLog("node")
    try:
        with database.begin() as connection:
            audit.append(
                connection,
                actor=person(),
                actor_role=OPERATOR,
                action="fhir.push",
                target=f"fhir/push/{target}",
            )
        facade = facade_of(open_archive(settings, database), settings, database, audit)
        with connection_to_server(settings, KINDS) as (send, without):
            told = Disclosing(audit, person(), OPERATOR)
            pusher = Pusher(
                facade,
                database,
                target,
                send,
                without,
                note=lambda connection, sent: told.record(connection, f"fhir/push/{target}", sent),
            )
            report = pusher.run(progress).as_json() | {"not_taken": sorted(without)}
        with database.begin() as connection:
            audit.append(
                connection,
                actor=person(),
                actor_role=OPERATOR,
                action="fhir.pushed",
                target=f"fhir/push/{target}",
                details=report,
            )
    finally:
        database.dispose()
    return report


@contextlib.contextmanager
def connection_to_server(
    settings: NodeSettings, kinds: Collection[str]
) -> Iterator[tuple[Send, frozenset[str]]]:
    """Open the connection, and tell which of some types the server cannot take.

    A token is read anew for each transaction, so that it may be renewed beside.
    """
    import httpx  # noqa: PLC0415 - only this command speaks

    fhir = settings.fhir
    verify: Any = str(fhir.push_authority) if fhir.push_authority else True
    with httpx.Client(verify=verify, timeout=TIMEOUT_S, trust_env=False) as client:

        def headers() -> dict[str, str]:
            found = {"Content-Type": FHIR_JSON, "Accept": FHIR_JSON}
            if fhir.push_token is not None:
                found["Authorization"] = f"Bearer {fhir.push_token.read_text('utf-8').strip()}"
            return found

        def send(bundle: Resource) -> Answer:
            try:
                response = client.post(fhir.push_to, json=bundle, headers=headers())
            except httpx.TransportError:
                return Answer(0)
            after = response.headers.get("Retry-After", "")
            return Answer(response.status_code, float(after) if after.isdecimal() else 0.0)

        try:
            statement = client.get(f"{fhir.push_to}/metadata", headers=headers()).raise_for_status().json()
        except (httpx.HTTPError, ValueError) as error:
            raise ServerBusy("The FHIR server does not say what it can do. Look at its address.") from error
        yield send, types_without_identifier(statement, ("Patient", "Device", *kinds))
