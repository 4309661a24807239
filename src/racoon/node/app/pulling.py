"""Fetching from a PACS, put together from the settings: for the command line and for the worker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from racoon.node.intake.activity import Activity
from racoon.node.intake.pull.model import (
    REASONS,
    PullItem,
    PullNotConfigured,
    PullProtocol,
    PullState,
    Window,
)
from racoon.node.intake.pull.service import Archive, Puller, only_one
from racoon.node.intake.pull.worklist import WorkList
from racoon.node.intake.service import activity_folder, spool_folder
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


def add_protocol(config: Path, protocol: PullProtocol) -> dict[str, Any]:
    """Keep a study protocol."""
    work_list = WorkList(folder_of(load_node_settings(config)))
    work_list.add_protocol(protocol)
    return _describe(protocol)


def list_protocols(config: Path) -> list[dict[str, Any]]:
    """List the study protocols and how far their searches are."""
    return [_describe(item) for item in WorkList(folder_of(load_node_settings(config))).protocols()]


def remove_protocol(config: Path, name: str) -> dict[str, Any]:
    """Remove a study protocol; what it found stays on the list."""
    return {"removed": WorkList(folder_of(load_node_settings(config))).remove_protocol(name)}


def _describe(protocol: PullProtocol) -> dict[str, Any]:
    until = protocol.searched_until.isoformat() if protocol.searched_until else None
    return asdict(protocol) | {
        "modalities": list(protocol.modalities),
        "first_day": protocol.first_day.isoformat(),
        "last_day": protocol.last_day.isoformat(),
        "searched_until": until,
        "message": REASONS[protocol.problem],
    }


def retry(config: Path) -> dict[str, Any]:
    """Let partial and refused items wait again."""
    work_list = WorkList(folder_of(load_node_settings(config)))
    for protocol in work_list.protocols():
        if protocol.problem:
            work_list.save_protocol(replace(protocol, problem=""))
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
    if not settings.pull.source:
        return
    puller = _puller(settings)
    while not stop.is_set():
        with only_one(folder_of(settings)) as is_only:
            if is_only:
                puller.run(stop)
        stop.wait(LOOK_S)


def _puller(settings: NodeSettings) -> Puller:
    pull = settings.pull
    if not pull.source:
        raise PullNotConfigured(
            "No PACS is configured. Set pull.peer and enter it under dicom.peers, or set pull.url."
        )
    spool = Spool(spool_folder(settings.data_directory))
    activity = Activity(activity_folder(settings.data_directory))

    def note(item: PullItem) -> None:
        # With C-MOVE the objects came through the listener, which has listed them.
        if pull.method != "move" and item.received:
            activity.record("pull", pull.source, objects=item.received, size_bytes=0)

    return Puller(
        WorkList(folder_of(settings)),
        _dicomweb(settings, spool) if pull.method == "dicomweb" else _dicom(settings, spool),
        window=Window.parse(pull.window),
        daily_limit=pull.daily_limit,
        pause_s=pull.pause_s,
        on_fetched=note,
    )


def _dicomweb(settings: NodeSettings, spool: Spool) -> Archive:
    from racoon.node.intake.pull.dicomweb import DicomwebAddress, DicomwebPacs  # noqa: PLC0415 - httpx only here

    pull = settings.pull
    address = DicomwebAddress(
        pull.url,
        authority=pull.authority,
        token_file=pull.token_file,
        timeout_s=pull.timeout_s,
        largest_object_bytes=settings.dicom.max_object_mb << 20,
    )
    return DicomwebPacs(address, spool)


def _dicom(settings: NodeSettings, spool: Spool) -> Archive:
    from racoon.node.intake.pull.pacs import Pacs, PacsAddress  # noqa: PLC0415 - pynetdicom only where it is needed

    pull, dicom = settings.pull, settings.dicom
    (peer, *_) = (item for item in dicom.peers if item.ae_title == pull.peer)
    address = PacsAddress(
        ae_title=pull.peer,
        host=peer.host,
        port=peer.port,
        calling=dicom.ae_title,
        method="move" if pull.method == "move" else "get",
        authority=peer.authority,
        certificate=dicom.certificate,
        key=dicom.key,
        timeout_s=pull.timeout_s,
    )
    return Pacs(address, spool)


def _count(work_list: WorkList, state: PullState) -> int:
    return work_list.counts()[state]
