"""`racoon node models`: the shelf of model packages, by an operator at the console."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from racoon.learning.masking import SUM_KEY, load_or_make_sum_key, public_text
from racoon.node.app.administration import prepare
from racoon.node.app.operation import OPERATOR, person
from racoon.node.compute.model import ShelvedModel
from racoon.node.compute.shelf import Shelf
from racoon.node.link.identity import load_identity
from racoon.node.link.library import fetch_library, fetch_model
from racoon.node.settings import NodeSettings, load_node_settings
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database

Found = TypeVar("Found")


def open_shelf(settings: NodeSettings, database: Database) -> Shelf:
    """Open the node's shelf."""
    return Shelf(
        database,
        AuditLog("node", settings.release.policy().version),
        settings.data_directory / "models",
        settings.learning.model_signers,
    )


def pull_models(config: Path) -> dict[str, Any]:
    """Follow CENTRAL's library: fetch approved models of named signers, take back what was withdrawn.

    Raises
    ------
    NotEnrolled, CentralUnreachable
    """
    settings = load_node_settings(config)
    identity = load_identity(settings.identity_folder, settings.site)
    library = fetch_library(identity)
    return _with_shelf(
        settings,
        lambda shelf: shelf.follow(
            library.models, lambda entry: fetch_model(identity, entry), person(), OPERATOR
        ),
    )


def sum_key(config: Path) -> str:
    """Return this node's public key for secure sums, made at the first call; the private half stays here."""
    settings = load_node_settings(config)
    return public_text(load_or_make_sum_key(settings.data_directory / "engine" / SUM_KEY))


def import_model(config: Path, path: Path) -> dict[str, Any]:
    """Put a package from a file on the shelf.

    Raises
    ------
    PackageRefused
    """
    settings = load_node_settings(config)
    data = path.read_bytes()
    return _with_shelf(settings, lambda shelf: show(shelf.add(data, "file", person(), OPERATOR)))


def list_models(config: Path) -> list[dict[str, Any]]:
    """List what stands or stood on the shelf."""
    settings = load_node_settings(config)
    return _with_shelf(settings, lambda shelf: [show(model) for model in shelf.models()])


def show(model: ShelvedModel) -> dict[str, Any]:
    """Return the JSON form of a model."""
    return {
        "hash": model.digest,
        "name": model.name,
        "version": model.version,
        "signer": model.signer,
        "source": model.source,
        "runtime": model.runtime,
        "added_at": clock.to_text(model.added_at),
        "withdrawn_at": clock.to_text(model.withdrawn_at) if model.withdrawn_at else None,
        "reason": model.reason,
    }


def _with_shelf(settings: NodeSettings, ask: Callable[[Shelf], Found]) -> Found:
    prepare(settings)
    database = Database(settings.database)
    try:
        return ask(open_shelf(settings, database))
    finally:
        database.dispose()
