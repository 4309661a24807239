"""Issue B, the node's DICOM side: receive anything, lose nothing, leak nothing, serve fast."""

from __future__ import annotations

from tools.acceptance import Step

TITLE = "the node's DICOM side: receive anything, lose nothing, leak nothing, serve fast"

STEPS = [
    Step(
        "ways-in",
        "folders, ZIP files, media, HTTP, a watched folder and a PACS all end in the same durable spool",
        tests=("tests/unit/node/intake", "tests/unit/cli/test_intake.py", "tests/network/test_pull.py"),
    ),
    Step(
        "every-object-ends",
        "every object of the real data is archived or quarantined, none is lost or counted twice",
        tests=("tests/conformance/test_every_object_ends.py",),
    ),
    Step(
        "volumes",
        "each irregular geometry is reported, refused or resampled where its voxels were",
        tests=(
            "tests/conformance/test_volume_commands.py",
            "tests/conformance/test_volumes_on_real_data.py",
            "tests/unit/standards/dicom",
            "tests/unit/science/geometry",
        ),
    ),
    Step(
        "senders",
        "DCMTK and pynetdicom send, encrypted too; what is acknowledged survives kill -9",
        tests=("tests/network/test_dicom_intake.py",),
    ),
    Step(
        "hostile-peers",
        "ten thousand mutated PDU streams a seed: each ends its association and nothing else",
        tests=("tests/network/test_dicom_robustness.py",),
    ),
    Step(
        "dicomweb",
        "search, retrieval and storing by PS3.18",
        tests=(
            "tests/unit/node/archive",
            "tests/unit/standards/dicomweb",
            "tests/conformance/test_dicom_json.py",
        ),
    ),
]
