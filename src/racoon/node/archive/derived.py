"""Takes objects that were made from archived images: masks, reports, structure sets, parametric maps.

They come with the archive's own UIDs and pseudonyms.  Each is checked against the images it names and passes the
de-identification gate before it is stored; the gate is a port, so that this room does not know who does it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.errors import RacoonError
from racoon.node.archive import _store
from racoon.node.archive.model import DeidentifiedInstance, StoreResult
from racoon.node.archive.service import Archive
from racoon.platform.audit import AuditLog
from racoon.standards.dicom.elements import Dataset, MalformedDicom
from racoon.standards.dicom.reading import read_file
from racoon.standards.dicom.references import references_of
from racoon.standards.dicom.text import encodings_of, text_of
from racoon.standards.dicom.uids import is_uid

Clean = Callable[[bytes], DeidentifiedInstance]
"""The gate: gives the object without anything that may not be kept, or raises a RacoonError that says why not."""

DERIVED_CLASSES: Mapping[str, str] = {
    "1.2.840.10008.5.1.4.1.1.30": "OT",
    "1.2.840.10008.5.1.4.1.1.66.4": "SEG",
    "1.2.840.10008.5.1.4.1.1.66.7": "SEG",
    "1.2.840.10008.5.1.4.1.1.88.11": "SR",
    "1.2.840.10008.5.1.4.1.1.88.22": "SR",
    "1.2.840.10008.5.1.4.1.1.88.33": "SR",
    "1.2.840.10008.5.1.4.1.1.88.34": "SR",
    "1.2.840.10008.5.1.4.1.1.481.3": "RTSTRUCT",
}
"""SOP classes that are taken: parametric map, segmentations, reports, structure set.  Images are never taken this
way: they would pass without their identity being removed."""

OUT_OF_RESOURCES, MISMATCH, CANNOT_UNDERSTAND = 0xA700, 0xA900, 0xC000
PROCESSING_FAILURE, DUPLICATE, NO_SUCH_OBJECT, CLASS_CONFLICT, CLASS_NOT_SUPPORTED = (
    0x0110, 0x0111, 0x0112, 0x0119, 0x0122,
)  # fmt: skip
"""Failure reasons (PS3.18 section I.2.2, PS3.7 annex C)."""

COERCED = 0xB000
"""Warning: texts or private elements were taken away by the gate (PS3.18 table I.2-1)."""

_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
_PATIENT_NAME, _PATIENT_ID, _BIRTH_DATE, _STUDY_DATE = 0x00100010, 0x00100020, 0x00100030, 0x00080020
_MODALITY = 0x00080060


@dataclass(frozen=True)
class DerivedOutcome:
    """What became of one derived object.

    Parameters
    ----------
    failure
        0 when it is archived, else the failure reason.
    warning
        0 when it is archived as it was sent, else the warning reason.
    reason
        Plain words for a failure.
    """

    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str = ""
    imaging_study_uid: str = ""
    pseudonym: str = ""
    failure: int = 0
    warning: int = 0
    reason: str = ""


def made_here(data: bytes, source: str = "made here") -> DeidentifiedInstance:
    """Say of an object that it needs no cleaning: this node made it of archived images and words of its own.

    The gate for foreign objects would take the names of algorithm and biomarkers away, and with them what a reader
    must know.
    """
    dataset = read_file(data).dataset
    return DeidentifiedInstance(
        bytes=data,
        sop_class_uid=_uid(dataset, _SOP_CLASS),
        sop_instance_uid=_uid(dataset, _SOP_INSTANCE),
        series_uid=_uid(dataset, _SERIES),
        imaging_study_uid=_uid(dataset, _STUDY),
        pseudonym=Pseudonym(text_of(dataset.get(_PATIENT_ID), encodings_of(dataset))),
        evidence={"source": source},
    )


class _Rejected(Exception):
    """One check said no; never leaves this module."""

    def __init__(self, failure: int, reason: str) -> None:
        super().__init__(reason)
        self.failure, self.reason = failure, reason


class DerivedObjects:
    """Checks and stores derived objects.

    Parameters
    ----------
    archive
        Where the images are and where the objects go.
    clean
        The de-identification gate.
    audit
        Who stored what is written here.
    """

    def __init__(self, archive: Archive, clean: Clean, audit: AuditLog) -> None:
        self._archive = archive
        self._clean = clean
        self._audit = audit

    def store(
        self,
        data: bytes,
        *,
        imaging_study_uid: str = "",
        may_see: Callable[[str], bool] = lambda _study: True,
    ) -> DerivedOutcome:
        """Check one object and store it durably.

        Parameters
        ----------
        data
            A whole DICOM file.
        imaging_study_uid
            From the request's path; an object of another imaging study is not taken.
        may_see
            Whether the sender may see an imaging study.

        Returns
        -------
        DerivedOutcome
            The same object sent again is no change and no failure.
        """
        try:
            dataset = read_file(data).dataset
        except MalformedDicom as error:
            return DerivedOutcome("", "", failure=CANNOT_UNDERSTAND, reason=error.public_message)
        sop_class, sop_instance = _uid(dataset, _SOP_CLASS), _uid(dataset, _SOP_INSTANCE)
        try:
            warning, instance = self._store(dataset, data, imaging_study_uid, may_see)
        except _Rejected as error:
            return DerivedOutcome(sop_class, sop_instance, failure=error.failure, reason=error.reason)
        return DerivedOutcome(
            sop_class,
            sop_instance,
            instance.series_uid,
            instance.imaging_study_uid,
            instance.pseudonym,
            warning=warning,
        )

    def record(self, outcomes: Sequence[DerivedOutcome], *, actor: str, actor_role: str) -> None:
        """Write one audit entry for each imaging study that got something, and one for what was refused."""
        stored: dict[str, list[DerivedOutcome]] = {}
        refused: dict[str, int] = {}
        for outcome in outcomes:
            if outcome.failure:
                refused[f"{outcome.failure:04X}"] = refused.get(f"{outcome.failure:04X}", 0) + 1
            else:
                stored.setdefault(outcome.imaging_study_uid, []).append(outcome)
        with self._archive.database.begin() as connection:
            for study, objects in stored.items():
                self._audit.append(
                    connection,
                    actor=actor,
                    actor_role=actor_role,
                    action="derived.store",
                    target=f"imaging-study/{study}",
                    details={
                        "pseudonym": objects[0].pseudonym,
                        "instances": [outcome.sop_instance_uid for outcome in objects],
                    },
                )
            if refused:
                self._audit.append(
                    connection,
                    actor=actor,
                    actor_role=actor_role,
                    action="derived.store",
                    target="archive",
                    outcome="refused",
                    details={"failures": refused},
                )

    def _store(
        self,
        dataset: Dataset,
        data: bytes,
        imaging_study_uid: str,
        may_see: Callable[[str], bool],
    ) -> tuple[int, DeidentifiedInstance]:
        modality = DERIVED_CLASSES.get(text_of(dataset.get(_SOP_CLASS)))
        if modality is None:
            raise _Rejected(
                CLASS_NOT_SUPPORTED,
                "Only segmentations, structured reports, structure sets and parametric maps are taken here; "
                "send images to /dicom-web/studies.",
            )
        if not all(_uid(dataset, tag) for tag in (_SOP_INSTANCE, _STUDY, _SERIES)):
            raise _Rejected(CANNOT_UNDERSTAND, "The object lacks a UID.")
        if imaging_study_uid and _uid(dataset, _STUDY) != imaging_study_uid:
            raise _Rejected(MISMATCH, "The object belongs to another imaging study than the address says.")
        self._check_subject(dataset, may_see)
        try:
            instance = self._clean(data)
        except RacoonError as error:
            raise _Rejected(PROCESSING_FAILURE, error.public_message) from error
        self._check_place(read_file(instance.bytes).dataset, instance, modality)
        (outcome,) = self._archive.store([instance])
        if outcome.result is StoreResult.CONFLICT:
            raise _Rejected(DUPLICATE, outcome.reason)
        return (0 if instance.bytes == data else COERCED), instance

    def _check_subject(self, dataset: Dataset, may_see: Callable[[str], bool]) -> None:
        """Compare the object as it was sent with the imaging study it claims: nothing of a patient may be in it."""
        study_uid = _uid(dataset, _STUDY)
        with self._archive.database.connect() as connection:
            study = _store.load_study(connection, study_uid)
        if (
            study is None
            or not self._archive.is_readable(Pseudonym(study.pseudonym))
            or not may_see(study_uid)
        ):
            raise _Rejected(NO_SUCH_OBJECT, "There is no such imaging study in this archive.")
        encodings = encodings_of(dataset)

        def text(tag: int) -> str:
            return text_of(dataset.get(tag), encodings)

        if text(_PATIENT_ID) != study.pseudonym:
            raise _Rejected(MISMATCH, "The object carries another pseudonym than its imaging study.")
        if text(_PATIENT_NAME).strip("^= ") not in ("", study.pseudonym, study.patient_name.strip("^= ")):
            raise _Rejected(
                MISMATCH, "The object carries a name. Make it from de-identified images, not from originals."
            )
        # An unshifted date would undo the shift of all others of this subject.
        for tag, archived in ((_STUDY_DATE, study.study_date), (_BIRTH_DATE, study.patient_birth_date)):
            if text(tag) not in ("", archived):
                raise _Rejected(
                    MISMATCH, "A date of the object differs from its imaging study. Copy it from the images."
                )

    def _check_place(self, dataset: Dataset, instance: DeidentifiedInstance, modality: str) -> None:
        """Check that what the object refers to is here, and that it does not enter a series of images."""
        found = references_of(dataset)
        if not found.imaging_studies <= {instance.imaging_study_uid}:
            raise _Rejected(NO_SUCH_OBJECT, "The object refers to another imaging study.")
        wanted = {uid: sop for uid, sop in found.instances.items() if uid != instance.sop_instance_uid}
        if not wanted:
            raise _Rejected(MISMATCH, "The object does not say which images it was made from.")
        with self._archive.database.connect() as connection:
            here = _store.classes_in_study(connection, instance.imaging_study_uid, list(wanted))
            series = _store.series_in_study(connection, instance.imaging_study_uid)
        missing = len(wanted.keys() - here.keys())
        if missing or not found.series - {instance.series_uid} <= series.keys():
            raise _Rejected(
                NO_SUCH_OBJECT,
                f"{missing or 'Some'} objects that this one refers to are not in this imaging study's archive.",
            )
        if any(sop and sop != here[uid] for uid, sop in wanted.items()):
            raise _Rejected(CLASS_CONFLICT, "The object calls an image by another SOP class than it has.")
        own = text_of(dataset.get(_MODALITY))
        if modality not in {own, "OT"}:
            raise _Rejected(MISMATCH, "The object's modality does not fit its SOP class.")
        if series.get(instance.series_uid, own) != own or (
            modality == "OT" and self._holds_other_classes(instance)
        ):
            raise _Rejected(
                MISMATCH, "The object would enter a series of images. Give it a series of its own."
            )

    def _holds_other_classes(self, instance: DeidentifiedInstance) -> bool:
        """A parametric map may call itself MR or CT like its images; its series still holds nothing else."""
        table = _store.instances
        query = (
            sa.select(table.c.id)
            .join(_store.series, _store.series.c.id == table.c.series_id)
            .where(
                _store.series.c.series_uid == instance.series_uid,
                table.c.sop_class_uid != instance.sop_class_uid,
            )
            .limit(1)
        )
        with self._archive.database.connect() as connection:
            return connection.execute(query).first() is not None


def _uid(dataset: Dataset, tag: int) -> str:
    text = text_of(dataset.get(tag))
    return text if is_uid(text) else ""
