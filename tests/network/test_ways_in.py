"""Every real object by each way in, ``storescu``, STOW-RS and import: one end, archived or set aside."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from starlette.testclient import TestClient

from racoon.node.intake.importing import take_in
from tests.conformance.test_deid_outcomes import OUTCOMES, _objects
from tests.network.test_dicom_intake import Options, Settings, free_port, start
from tests.unit.node.intake.conftest import Node
from tests.unit.node.intake.conftest import node as node  # noqa: PLC0414 - the fixture of intake's own tests
from tests.unit.node.intake.test_uploads import send
from tests.unit.node.intake.test_uploads import sender as sender  # noqa: PLC0414 - people with sessions

ENDS: dict[str, dict[str, int]] = {
    **OUTCOMES,
    # One image in many syntaxes under one UID: other bytes are a conflict, the same bytes change nothing.
    "transfer_syntaxes": {
        "archived": 17,
        "burned_in_suspected": 12,
        "conflict": 5,
        "duplicate": 3,
        "undecodable_pixels": 5,
    },
}
"""By folder; the rules' own table, but for objects that have one UID and several contents."""

UNSENT = {"ct_torso_61_organs": 20, "transfer_syntaxes": 3}
"""Objects that DCMTK 3.6.7 cannot send at all: without a SOP Instance UID, in syntaxes that it does not know."""

PROPOSALS = {
    "1.2.840.10008.1.2": ("-xi",),
    "1.2.840.10008.1.2.1.99": ("-xd",),
    "1.2.840.10008.1.2.2": ("-xb",),
    "1.2.840.10008.1.2.5": ("-xr",),
    "1.2.840.10008.1.2.4.50": ("-xy",),
    "1.2.840.10008.1.2.4.51": ("-xx",),
    "1.2.840.10008.1.2.4.57": ("-xs",),
    "1.2.840.10008.1.2.4.70": ("-xs",),
    "1.2.840.10008.1.2.4.80": ("-xt",),
    "1.2.840.10008.1.2.4.81": ("-xu",),
    "1.2.840.10008.1.2.4.90": ("-xv",),
    "1.2.840.10008.1.2.4.91": ("-xw",),
}
"""Options of ``storescu`` that propose a syntax; without them DCMTK converts, and fails where it has no codec."""

FOLDERS = sorted(ENDS) if os.environ.get("RACOON_ACCEPTANCE") else ["deid", "dose_reports"]

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.timeout(1800),
]


def written(folder: Path, target: Path) -> list[Path]:
    """Write the objects of a folder as files of their own."""
    target.mkdir()
    paths = []
    for number, (_, data) in enumerate(_objects(folder)):
        paths.append(target / f"{number:05d}.dcm")
        paths[-1].write_bytes(data)
    return paths


def ends(node: Node) -> Counter[str]:
    """Work the spool off; count the ends."""
    found: Counter[str] = Counter()
    loop = node.loop()
    while (done := loop.run_once()).taken:
        found.update(done.reasons)
        found.update({"archived": done.archived, "duplicate": done.duplicates})
    assert list(node.spool.folder.glob("*.dcm")) == []
    return +found


def by_import(node: Node, files: list[Path]) -> int:
    """Import them as a folder; nothing is left out."""
    report = take_in(files[0].parent, node.spool, node.folder / "imports")
    assert report.problems == ()
    return len(files) - report.taken


def by_stow(sender: Callable[[str], TestClient], files: list[Path]) -> int:
    """Send ten in a request."""
    client = sender("anna")
    for start_at in range(0, len(files), 10):
        answer = send(client, [path.read_bytes() for path in files[start_at : start_at + 10]])
        assert answer.status_code in (200, 202, 409), answer.text
    return 0


def syntax_of(path: Path) -> str:
    """Transfer syntax of a file; empty where it does not say."""
    meta = pydicom.dcmread(path, force=True, specific_tags=["SOPClassUID"], stop_before_pixels=True).file_meta
    return str(meta.get("TransferSyntaxUID", ""))


def by_storescu(node: Node, files: list[Path], program: str) -> int:
    """Send one file at a time; tell how many DCMTK itself could not read or propose."""
    listener = start(Settings(node.folder, Options(free_port())))
    unsent = 0
    try:
        for path in files:
            # Without -R DCMTK proposes a short list of classes, in which segmentations are not.
            proposed = ["-R", *PROPOSALS.get(syntax_of(path), ())]
            command = [program, *proposed, "-aec", "RACOON", "127.0.0.1", str(listener.port), str(path)]
            environment = {**os.environ, "TCP_NODELAY": "1"}
            done = subprocess.run(command, capture_output=True, check=False, env=environment, timeout=120)
            if done.returncode:
                path.unlink()
                unsent += 1
    finally:
        listener.process.terminate()
        listener.process.join(20)
    return unsent


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("way", ["import", "stow", "storescu"])
def test_every_object_has_its_end_by_every_way(
    node: Node,
    sender: Callable[[str], TestClient],
    shared_data: Path,
    tmp_path: Path,
    needs_program: Callable[[str, str], str],
    folder: str,
    way: str,
) -> None:
    files = written(shared_data / folder, tmp_path / "objects-as-files")
    if way == "import":
        unsent = by_import(node, files)
    elif way == "stow":
        unsent = by_stow(sender, files)
    else:
        unsent = by_storescu(node, files, needs_program("storescu", "dcmtk"))
    found = ends(node)
    print(f"{folder} by {way}: {dict(found)}, {unsent} that the sender cannot send")
    assert unsent <= UNSENT.get(folder, 0) if way == "storescu" else unsent == 0
    assert sum(found.values()) == len(files) - unsent, "none is lost, none is there twice"
    if not unsent:
        assert dict(found) == ENDS[folder]
    else:
        assert all(number <= ENDS[folder].get(end, 0) for end, number in found.items())
