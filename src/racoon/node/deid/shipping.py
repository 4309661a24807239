"""Renames a de-identified object for one study: what leaves a site for the pool carries none of the archive's names.

The subject gets its name in the study, every UID of the archive a UID of the study, so that two studies' pools cannot
be joined, nor one with the archive.  Dates stay as the archive has them: shifted by the subject's own days.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import ClassVar

import pydicom
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from racoon.errors import Defect
from racoon.standards.dicom.uids import is_standard


class RenamingFailed(Defect):
    """An object cannot be renamed for a study, or still names something of the archive afterwards."""

    code: ClassVar[str] = "deid.renaming"


def rename_for_study(
    data: bytes, *, subject: str, name: str, uid_in_study: Callable[[str], str]
) -> tuple[bytes, str, str]:
    """Rename one object.

    Parameters
    ----------
    data
        A whole de-identified DICOM file of the archive.
    subject
        Its pseudonym in the archive.
    name
        The subject's name in the study.
    uid_in_study
        Gives the study's UID for a UID of the archive; the same for the same.

    Returns
    -------
    tuple
        The renamed file, its SOP Instance UID and its Series Instance UID in the study.

    Raises
    ------
    RenamingFailed
        When it cannot be read, is another subject's, or the archive's names are still in it.
    """
    try:
        file = pydicom.dcmread(io.BytesIO(data))
    except (InvalidDicomError, OSError, ValueError, KeyError, NotImplementedError) as error:
        raise RenamingFailed("An object of the dataset cannot be read any more.") from error
    if str(file.get("PatientID", "")) != subject:
        raise RenamingFailed("An object of the dataset belongs to another subject than its series.")
    if str(file.get("PatientIdentityRemoved", "YES")) != "YES":
        raise RenamingFailed("An object of the dataset says itself that it is not de-identified.")
    own: set[str] = {subject}
    for dataset in (file, file.file_meta):
        for element in _elements(dataset):
            _rename(element, subject, name, uid_in_study, own)
    out = io.BytesIO()
    file.save_as(out, enforce_file_format=True)
    renamed = out.getvalue()
    left = [text for text in own if text.encode("ascii", "ignore") in renamed]
    if left:
        raise RenamingFailed("A name of the archive is left in an object; it does not leave this site.")
    return renamed, str(file.SOPInstanceUID), str(file.SeriesInstanceUID)


def _elements(dataset: Dataset) -> Iterator[DataElement]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _elements(item)
        else:
            yield element


def _rename(
    element: DataElement, subject: str, name: str, uid_in_study: Callable[[str], str], own: set[str]
) -> None:
    if element.VR == "UI":
        values = element.value if element.VM > 1 else [element.value]
        texts = [str(value) for value in values if value]
        foreign = {text for text in texts if not is_standard(text) and element.keyword not in _NO_NAMES}
        if foreign:
            own |= foreign
            renamed = [uid_in_study(text) if text in foreign else text for text in texts]
            element.value = renamed if len(renamed) > 1 else renamed[0]
    elif element.VR in _TEXT and element.value and subject in str(element.value):
        values = list(element.value) if element.VM > 1 else [element.value]
        renamed = [str(value).replace(subject, name) for value in values]
        element.value = renamed if len(renamed) > 1 else renamed[0]


_NO_NAMES = frozenset({"ImplementationClassUID"})
"""UIDs outside the standard's root that name a program and no object."""

_TEXT = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"})
