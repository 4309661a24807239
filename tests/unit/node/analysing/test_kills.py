"""A node's process killed anywhere in a round: one release, the same numbers, nothing computed again once released."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from racoon.domain.study import StudyDefinition
from racoon.node.analysing.worker import analyse_handler
from racoon.node.approvals.model import job_content_hash
from racoon.node.approvals.service import Approvals
from racoon.node.jobs.service import Jobs
from racoon.node.release.policy import DisclosurePolicy
from racoon.node.release.service import ReleaseGate
from racoon.platform.audit import AuditLog
from racoon.platform.clock import now
from racoon.platform.database import Database, create_all
from racoon.protocol.messages import JobOffer
from racoon.science.analysis import Question
from datetime import timedelta
from tests.analysing_sites import PLAN, cohort
from tests.unit.node.jobs.test_jobs import Site

MOMENTS = ("before the rows", "after computing", "while releasing", "after releasing", "never")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    database = Database(f"sqlite:///{tmp_path}/node.sqlite")
    create_all(database, "node")
    database.dispose()
    yield tmp_path


def _note(folder: Path, text: str) -> None:
    with (folder / "log").open("a", encoding="utf-8") as file:
        file.write(text + "\n")


def _die(moment: str, wanted: str) -> None:
    if moment == wanted:
        os.kill(os.getpid(), signal.SIGKILL)
