"""Asks a FHIR server what it deleted: the history of a type, since the last time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from racoon.node.clinical import fetched
from racoon.node.clinical.calling import AnswerNotUnderstood
from racoon.node.clinical.fetched import Checkpoint
from racoon.platform.database import Database
from racoon.standards.fhir.reading import Found, is_deletion, name_of_entry

HISTORY = "_history"
ALL_TIME = "always"
"""Instead of an instant from which on deletions are asked for."""

Ask = Callable[[str, list[tuple[str, str]]], Any]
"""Asks the server with patience; the second part is empty for a page that it named itself."""


def begin_history(database: Database, kind: str, now: str) -> None:
    """Note before the first search from when on deletions are asked for: what is gone by then never comes."""
    name = f"{kind}/{HISTORY}"
    with database.begin() as connection:
        if fetched.load(connection, name).since:
            return
        earlier = fetched.load(connection, kind)
        # Fetched before without a history: deletions since its beginning are not known, so all are asked for.
        fetched.save(connection, Checkpoint(name, True, ALL_TIME if earlier.since else now))


def take_deletions(
    database: Database, kind: str, page: int, now: str, ask: Ask, take: Callable[[list[Found]], None]
) -> None:
    """Read the history of a type, the newest version first, and take out whatever it ends with a deletion.

    Cut off, it begins anew: which version is the newest is known only from the beginning.

    Parameters
    ----------
    database
        Keeps how far it is.
    kind
        Type of resource.
    page
        Versions asked for in one page.
    now
        Up to when everything is known afterwards.
    ask, take
        The server, and who takes a page of deletions.

    Raises
    ------
    AnswerNotUnderstood
        If the server answers with something that is no Bundle.
    """
    name, told = f"{kind}/{HISTORY}", set[str]()
    with database.connect() as connection:
        since = fetched.load(connection, name).since
    # A server that drops _since tells more than was asked for, which only takes longer.
    wanted = [("_since", since)] if since != ALL_TIME else []
    document = ask(name, [*wanted, ("_count", str(page))])
    while True:
        if not isinstance(document, dict) or document.get("resourceType") != "Bundle":
            raise AnswerNotUnderstood("The FHIR server answered with something that is no Bundle.")
        gone: list[Found] = []
        for entry in document.get("entry", []):
            identity = name_of_entry(entry) if isinstance(entry, dict) else ""
            if identity and identity not in told and is_deletion(entry):
                gone.append(Found(identity, None, deleted=identity))
            told.add(identity)
        take(gone)
        following = link_of(document, "next")
        if not following:
            break
        document = ask(following, [])
    with database.begin() as connection:
        fetched.save(connection, Checkpoint(name, True, now, "", "", 0, len(told)))


def link_of(document: Any, relation: str) -> str:
    """Return the address of a Bundle's link; empty where it has none of the kind."""
    links = document.get("link", []) if isinstance(document, dict) else []
    return next((str(item.get("url", "")) for item in links if item.get("relation") == relation), "")
