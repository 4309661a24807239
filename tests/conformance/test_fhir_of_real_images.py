"""Real CT, MR and PT studies, de-identified, archived and written as FHIR: our rule tables and an independent model
find nothing wrong, and what the scanner said is there.
"""

from __future__ import annotations

import importlib
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pydicom
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from racoon.domain.identity import Pseudonym
from racoon.node.approvals.service import Approvals
from racoon.node.archive.model import DeidentifiedInstance
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.clinical.model import TYPES, parse_search
from racoon.node.clinical.service import Facade
from racoon.node.deid.profiles import profile_named
from racoon.node.deid.service import Deidentifier
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database, create_all
from racoon.standards.fhir.imaging import Writing
from racoon.standards.fhir.rules.checking import check
from racoon.standards.fhir.versions import VERSIONS, extension_url

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

IMAGES_A_SERIES = 3
SOURCE = "urn:racoon:site:alpha"
PARTS = {
    "CT": {"KVP", "convolutionalKernel"},
    "MR": {"scanningSequence"},
    "PT": {"units", "radionuclideHalfLife"},
}
"""What the headers of these series hold; the MR series came without their times."""


def some_images(folder: Path) -> Iterator[bytes]:
    """The first images of each series; contours and everything else that is no image stay out."""
    seen: dict[str, int] = {}
    for path in sorted(folder.glob("dicom/*.zip")):
        archive = zipfile.ZipFile(path)
        for name in archive.namelist():
            if name.endswith("/"):
                continue
            data = archive.read(name)
            header = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
            count = seen[header.SeriesInstanceUID] = seen.get(header.SeriesInstanceUID, 0) + 1
            if header.Modality in PARTS and count <= IMAGES_A_SERIES:
                yield data


@contextmanager
def facade_of_real_images(shared_data: Path, folder: Path) -> Iterator[tuple[Facade, Database]]:
    """De-identify and archive the images, and give them as FHIR."""
    database = Database(f"sqlite:///{folder}/node.sqlite")
    create_all(database, "node")
    archive = Archive(database, LocalFolder(folder / "objects"))
    worker = Deidentifier(profile_named("basic"), Pseudonymiser(None, None))
    for data in some_images(shared_data / "sarcoma_multimodal"):
        made = worker.apply(data)
        archive.store(
            [
                DeidentifiedInstance(
                    bytes=made.dataset_bytes,
                    sop_class_uid=made.sop_class_uid,
                    sop_instance_uid=made.sop_instance_uid,
                    series_uid=made.series_uid,
                    imaging_study_uid=made.imaging_study_uid,
                    pseudonym=made.pseudonym,
                )
            ]
        )
    approvals = Approvals(
        AuditLog("node"), lambda *_: None, Ed25519PrivateKey.generate(), feasibility_enabled=True
    )
    writing = Writing(VERSIONS["2027-ballot"], ZoneInfo("Europe/Berlin"), SOURCE, "urn:racoon:alpha")
    yield Facade(archive, approvals, writing), database
    database.dispose()


@pytest.fixture(scope="module")
def facade(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facade]:
    with facade_of_real_images(shared_data, tmp_path_factory.mktemp("real")) as (found, _):
        yield found


def resources(facade: Facade, kind: str) -> list[dict[str, Any]]:
    return [resource for _, resource in facade.iterate(parse_search(kind, []))]


def test_real_studies_are_conformant(facade: Facade) -> None:
    for kind in ("Patient", "ImagingStudy", "Device", "ServiceRequest", "Procedure", "Observation"):
        found = resources(facade, kind)
        assert found, kind
        model = getattr(importlib.import_module(f"fhir.resources.R4B.{kind.lower()}"), kind)
        for resource in found:
            assert [
                item for item in check(resource, VERSIONS["2027-ballot"]) if item.severity == "error"
            ] == []
            model.model_validate(resource)


def test_what_the_scanner_said_is_there(facade: Facade) -> None:
    said: dict[str, set[str]] = {}
    for study in resources(facade, "ImagingStudy"):
        assert study["subject"]["reference"].removeprefix("Patient/") in {
            Pseudonym(item["id"]) for item in resources(facade, "Patient")
        }
        assert "started" in study
        for series in study["series"]:
            modality = series["modality"]["code"]
            wanted = extension_url(f"modalitaet-{modality.lower()}")
            parts = [
                part["url"]
                for item in series["extension"]
                if item["url"] == wanted
                for part in item["extension"]
            ]
            said.setdefault(modality, set()).update(parts)
            assert series["numberOfInstances"] == IMAGES_A_SERIES
    assert set(said) == set(PARTS)
    assert {modality: PARTS[modality] - said[modality] for modality in PARTS} == {key: set() for key in PARTS}


def test_links_of_real_studies_lead_to_what_is_written(facade: Facade) -> None:
    known = {f"{kind}/{item['id']}" for kind in TYPES for item in resources(facade, kind)}
    weights = 0
    for study in resources(facade, "ImagingStudy"):
        named = [study["basedOn"][0]["reference"], study["procedureReference"]["reference"]]
        named += [item["valueReference"]["reference"] for item in study.get("extension", ())]
        assert set(named) <= known
        weights += len(named) - 2
    assert weights, "the scanners said a weight, and no study leads to it"
