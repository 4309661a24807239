"""Fetching from a PACS, put together from the settings: for the command line and for the worker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from racoon.node.intake.pull.model import REASONS, PullNotConfigured, PullState, Window
from racoon.node.intake.pull.service import Puller, only_one
from racoon.node.intake.pull.worklist import WorkList
from racoon.node.intake.service import spool_folder
from racoon.node.intake.spool import Spool
from racoon.node.settings import NodeSettings, load_node_settings

LOOK_S = 60.0
"""The worker looks so often whether its hours have begun and something waits."""


def folder_of(settings: NodeSettings) -> Path:
    """Where the work list lies."""
    return settings.data_directory / "pull"


def add(config: Path, accession_numbers: Sequence[str]) -> dict[str, Any]:
    """Add accession numbers to the work list."""
    work_list = WorkList(folder_of(load_node_settings(config)))
    added = work_list.add(accession_numbers)
    return {"given": len(accession_numbers), "added": added, "waiting": _count(work_list, PullState.WAITING)}


def list_items(config: Path, state: str) -> list[dict[str, Any]]:
    """List the work list with a plain reason for each item."""
    states = () if state == "all" else (PullState(state),)
    items = WorkList(folder_of(load_node_settings(config))).items(*states)
    return [asdict(item) | {"state": item.state.value, "message": REASONS[item.reason]} for item in items]


def retry(config: Path) -> dict[str, Any]:
    """Let partial and refused items wait again."""
    work_list = WorkList(folder_of(load_node_settings(config)))
    return {"again": work_list.retry(), "waiting": _count(work_list, PullState.WAITING)}


def clear(config: Path, *, everything: bool) -> dict[str, Any]:
    """Remove what is fetched, or everything, from the work list."""
    return {"removed": WorkList(folder_of(load_node_settings(config))).clear(everything=everything)}


def run(config: Path, *, now: bool, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Fetch what waits.

    Raises
    ------
    PullNotConfigured
        If no PACS is configured, or the node's worker is fetching already.
    """
    settings = load_node_settings(config)
    with only_one(folder_of(settings)) as is_only:
        if not is_only:
            raise PullNotConfigured(
                "The node's worker is fetching already; `racoon node pull list` shows how far."
            )
        summary = _puller(settings).run(threading.Event(), now=now, progress=progress)
    return asdict(summary)


def run_in_background(settings: NodeSettings, stop: threading.Event) -> None:
    """Fetch in the configured hours until asked to stop; the body of a thread of the worker."""
    if not settings.pull.peer:
        return
    puller = _puller(settings)
    while not stop.is_set():
        with only_one(folder_of(settings)) as is_only:
            if is_only:
                puller.run(stop)
        stop.wait(LOOK_S)


def _puller(settings: NodeSettings) -> Puller:
    from racoon.node.intake.pull.pacs import Pacs, PacsAddress  # noqa: PLC0415 - pynetdicom only where it is needed

    pull, dicom = settings.pull, settings.dicom
    if not pull.peer:
        raise PullNotConfigured("No PACS is configured. Set pull.peer and enter it under dicom.peers.")
    (peer, *_) = (item for item in dicom.peers if item.ae_title == pull.peer)
    address = PacsAddress(
        ae_title=pull.peer,
        host=peer.host,
        port=peer.port,
        calling=dicom.ae_title,
        method=pull.method,
        authority=peer.authority,
        certificate=dicom.certificate,
        key=dicom.key,
        timeout_s=pull.timeout_s,
    )
    return Puller(
        WorkList(folder_of(settings)),
        Pacs(address, Spool(spool_folder(settings.data_directory))),
        window=Window.parse(pull.window),
        daily_limit=pull.daily_limit,
        pause_s=pull.pause_s,
    )


def _count(work_list: WorkList, state: PullState) -> int:
    return len(work_list.items(state))
