"""`racoon node segment`: a model package on the dataset this site froze for a study, by an operator at the console."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom

from racoon.domain.governance.approval import Purpose
from racoon.domain.identity import Pseudonym
from racoon.node.app.administration import prepare
from racoon.node.app.operation import OPERATOR, person
from racoon.node.app.rooms import open_archive, open_decisions
from racoon.node.archive.derived import DerivedObjects
from racoon.node.archive.model import DeidentifiedInstance
from racoon.node.compute.segmenting import Segmenting
from racoon.node.curation import service as curation
from racoon.node.settings import NodeSettings, load_node_settings
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database


def segment_dataset(
    config: Path, package: Path, study_id: str, progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Segment the dataset frozen for a study; masks become pre-labels in the archive, nothing leaves the site.

    Parameters
    ----------
    config
        The node's TOML file; its ``learning.model_signers`` decides whose models run.
    package
        Model package.
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


def made_here(data: bytes) -> DeidentifiedInstance:
    """Say of a mask that it needs no cleaning: this node made it of archived images and a signed card's words.

    The gate for foreign objects would take the algorithm's name away, and with it what a reader must know.
    """
    dataset = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
    return DeidentifiedInstance(
        bytes=data,
        sop_class_uid=str(dataset.SOPClassUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        series_uid=str(dataset.SeriesInstanceUID),
        imaging_study_uid=str(dataset.StudyInstanceUID),
        pseudonym=Pseudonym(str(dataset.PatientID)),
        evidence={"source": "segmented here"},
    )


def _segment(
    settings: NodeSettings,
    database: Database,
    package: Path,
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
    admitted = segmenting.admit(package)
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
    return segmenting.run(package, manifest, progress)
