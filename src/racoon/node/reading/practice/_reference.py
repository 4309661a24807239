"""What attempts are held against: the signed answers and stored masks of one person, taken when a set is made."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from racoon.domain.questionnaire import Answered, Template
from racoon.node.archive.service import Archive
from racoon.node.reading.drawing.service import Drawings, finished_on_study
from racoon.node.reading.practice import _store
from racoon.node.reading.practice.model import (
    KINDS,
    BadSet,
    NewSet,
    ReferenceCase,
    ReferenceSet,
    SetIsFixed,
)
from racoon.node.reading.practice.scoring import Masks, score_masks
from racoon.node.reading.reports.catalogue import newest_template, templates
from racoon.node.reading.reports.published import answers_of, signed_versions, version_of
from racoon.platform import clock
from racoon.platform.auth import User


def reference_set(connection: sa.Connection, archive: Archive, maker: str, wanted: NewSet) -> ReferenceSet:
    """Return the set that somebody asks for, with the versions that are its reference from now on.

    Raises
    ------
    BadSet
        With what is missing.
    SetIsFixed
        If there is one of this name.
    """
    name = wanted.name.strip()
    if wanted.kind not in KINDS or not wanted.series_uids or not name:
        raise BadSet("A reference set needs a name, a kind and series.")
    facts = [archive.series_row(uid).facts for uid in wanted.series_uids]
    studies = [fact.imaging_study_uid for fact in facts]
    template = newest_template(wanted.template_url, connection)
    if _store.load_sets(connection, name):
        raise SetIsFixed("There is a reference set of this name already, and it stays as it is.")
    signed = {
        item.imaging_study_uid: item
        for item in signed_versions(connection, template.url, studies)
        if item.author == wanted.reference
    }
    if set(signed) != set(studies) or len(set(studies)) < len(studies):
        raise BadSet("Every case needs one signed reading of the reference person with this template.")
    known = {item.link_id for item in template.walk()} | {"answers"}
    if any(mark.what not in known and ":" not in mark.what for mark in wanted.marks):
        raise BadSet("A pass mark names answers, a question of the template or a label such as SCT:39607008.")
    cases = []
    for fact in facts:
        version = signed[fact.imaging_study_uid]
        masks = {
            item.series_uid: item.finished[-1]
            for item in finished_on_study(connection, fact.imaging_study_uid)
            if item.author == wanted.reference
        }
        cases.append(
            ReferenceCase(
                fact.imaging_study_uid,
                fact.series_uid,
                str(fact.pseudonym),
                version.report_id,
                version.version,
                version.sha256,
                masks,
            )
        )
    return ReferenceSet(
        name, wanted.kind, template.url, wanted.reference, tuple(cases), wanted.marks, maker, clock.now()
    )


def reference_answers(
    connection: sa.Connection, case: ReferenceCase
) -> tuple[Template, tuple[Answered, ...]]:
    """Return the reference's answers with their template: the version that was the reference when it was made."""
    version = version_of(connection, case.report_id, case.version)
    forms = templates(connection)
    return forms[version.response["questionnaire"]], answers_of(version, forms)


def mask_scores(
    archive: Archive, drawings: Drawings, writer: User, case: ReferenceCase
) -> list[dict[str, Any]]:
    """Score what a reader drew on a case against the masks of the reference; irregular stacks have no score."""
    rows: list[dict[str, Any]] = []
    for series in dict.fromkeys([case.series_uid, *case.masks]):
        arrangement = archive.arrange(series)
        if not arrangement.is_regular or arrangement.affine is None:
            continue
        own = drawings.masks(writer, series)
        rows += score_masks(own, _drawn(archive, series, case.masks.get(series, "")), arrangement.affine)
    return rows


def _drawn(archive: Archive, series_uid: str, instance_uid: str) -> Masks:
    """Return the masks of a stored segmentation; segments of the same label are united, nothing without one."""
    found: dict[str, tuple[str, npt.NDArray[np.bool_]]] = {}
    if not instance_uid:
        return found
    for item in archive.iterate_masks(series_uid):
        if item.seg_instance_uid == instance_uid:
            key = item.mask.label.key
            before = found[key][1] if key in found else np.zeros_like(item.mask.voxels)
            found[key] = (item.mask.label.meaning or item.name, before | item.mask.voxels)
    return found
