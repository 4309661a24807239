"""Every file of the real data that is imported ends archived, as a duplicate, or in quarantine with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from racoon.node.deid.model import PLAIN_WORDS, QuarantineReason
from racoon.node.intake.importing import take_in
from tests.unit.node.intake.conftest import Node
from tests.unit.node.intake.conftest import node as node  # noqa: PLC0414 - the fixture of intake's own tests

FOLDERS = ("ct_abdomen_dicom", "deid", "dicom_odd", "dicom_seg_sr", "dose_reports", "transfer_syntaxes")


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_ends_somewhere(node: Node, shared_data: Path, folder: str) -> None:
    report = take_in(shared_data / folder, node.spool, node.folder / "imports")
    assert report.taken > 0
    assert report.problems == ()
    loop = node.loop()
    archived = duplicates = quarantined = 0
    while (done := loop.run_once()).taken:
        archived += done.archived
        duplicates += done.duplicates
        quarantined += done.quarantined
    assert archived + duplicates + quarantined == report.taken
    assert list(node.spool.folder.iterdir()) == []
    items = node.intake.quarantined(limit=1000)
    assert len(items) == quarantined
    for item in items:
        assert (item.reason, item.reason_de) == PLAIN_WORDS[QuarantineReason(item.code)]
        assert node.intake.quarantined_object(item.quarantine_id)[1] is not None
    codes = sorted({item.code for item in items})
    print(f"{folder}: {report.taken} taken, {archived} archived, {quarantined} in quarantine: {codes}")
