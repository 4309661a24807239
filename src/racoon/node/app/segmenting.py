"""`racoon node segment`: a model package on the dataset this site froze for a study, by an operator at the console."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from racoon.domain.governance.approval import Purpose
from racoon.node.app.administration import prepare
from racoon.node.app.operation import OPERATOR, person
from racoon.node.app.rooms import open_archive, open_decisions
from racoon.node.app.shelving import open_shelf
from racoon.node.archive.derived import DerivedObjects, made_here
from racoon.node.compute.segmenting import Segmenting
from racoon.node.curation import service as curation
from racoon.node.settings import NodeSettings, load_node_settings
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database


def segment_dataset(
    config: Path, package: str, study_id: str, progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Segment the dataset frozen for a study; masks become pre-labels in the archive, nothing leaves the site.

    Parameters
    ----------
    config
        The node's TOML file; its ``learning.model_signers`` decides whose models run.
    package
        A file, or the name or hash of a model on the node's shelf.
    study_id
        A study this site has released.
    progress
        Called with series done and in all.

    Raises
    ------
    NotApproved
        If the site has not released the study.
    PackageRefused
        If the package breaks a rule or its signer is not named by the site.
    """
    settings = load_node_settings(config)
    prepare(settings)
    database = Database(settings.database)
    try:
        return _segment(settings, database, package, study_id, progress)
    finally:
        database.dispose()


def _segment(
    settings: NodeSettings,
    database: Database,
    package: str,
    study_id: str,
    progress: Callable[[int, int], None],
) -> dict[str, Any]:
    audit = AuditLog("node", settings.release.policy().version)
    approvals = open_decisions(settings, audit)
    archive = open_archive(settings, database)
    with database.connect() as connection:
        study = approvals.current(connection, study_id)
        approvals.require(connection, study, Purpose.EVALUATE)
        manifest = curation.load(connection, study_id, study.dataset_hash or "")
    derived = DerivedObjects(archive, made_here, audit)

    def store(data: bytes) -> str:
        outcome = derived.store(data)
        derived.record([outcome], actor=person(), actor_role=OPERATOR)
        return outcome.reason if outcome.failure else ""

    folder = settings.data_directory / "compute"
    segmenting = Segmenting(folder, archive, store, settings.learning.model_signers)
    shelf = open_shelf(settings, database)
    path = Path(package) if Path(package).exists() else shelf.find(package)
    admitted = segmenting.admit(path)
    shelf.require_runnable(admitted.hash)
    with database.begin() as connection:
        audit.append(
            connection,
            actor=person(),
            actor_role=OPERATOR,
            action="model.run",
            target=f"study/{study_id}",
            purpose=study_id,
            details={"package": admitted.hash, "signer": admitted.signer, "dataset_hash": manifest.hash},
        )
    return segmenting.run(path, manifest, progress)
