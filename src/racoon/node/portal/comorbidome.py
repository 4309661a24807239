"""Pages of the comorbidome: a group's diagnoses and biomarkers together, and one subject's vector."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Query, Request
from markupsafe import Markup
from starlette.responses import Response

from racoon.domain.governance.approval import Purpose
from racoon.node.approvals.model import StudyAtSite
from racoon.node.approvals.service import Approvals
from racoon.node.archive.service import Archive
from racoon.node.curation import service as curation
from racoon.node.measuring import service as measuring
from racoon.node.portal.values import choose_study, title_of_row
from racoon.platform.auth import User, require
from racoon.web.ages import ages_figure
from racoon.web.networks import prevalence_figure, ring_figure
from racoon.web.pages import render
from racoon.web.translation import language_of, translations
from racoon.web.words import unit_text

if TYPE_CHECKING:
    from racoon.node.measuring.comorbidome import Vectors

router = APIRouter(include_in_schema=False)

# Diagnoses are not for readers, who must not know more of a case than their task says.
DatasetReader = Annotated[User, Depends(require("dataset.read"))]

Id = Annotated[str, Query(max_length=80)]

SHOWN_IN_RING = 16
"""Circles beyond this stand in each other's names; the bars show more."""

SHOWN_IN_BARS = 30


@dataclass(frozen=True)
class _Group:
    """What the pages of one study show."""

    studies: list[StudyAtSite]
    chosen: str
    vectors: Vectors | None
    document: Mapping[str, Any]


@router.get("/values/comorbidome")
def show_comorbidome(
    request: Request,
    user: DatasetReader,
    *,
    study: Id = "",
    subject: Annotated[str, Query(max_length=64)] = "",
    feature: Annotated[list[str] | None, Query(max_length=200)] = None,
) -> Response:
    """Show the subjects of a study with all values and diagnoses together, or one subject's vector."""
    language = language_of(request)
    group = _load(request, user, study, feature or [])
    if group.vectors is None or not group.vectors.subjects:
        return render(
            request, "node/portal/comorbidome.html", studies=group.studies, chosen=group.chosen, document=None
        )
    titles = {
        name: title_of_row(measuring.describe(value), language)
        for name, value in group.vectors.measurements.items()
    }
    person = next((item for item in group.document["subjects"] if item["subject"] == subject), None)
    if subject:
        if person is None:
            raise measuring.ValueMissing("There is no such subject; open the list again.")
        return render(
            request,
            "node/portal/comorbidome_subject.html",
            studies=group.studies,
            chosen=group.chosen,
            person=person,
            titles=titles,
            units={name: unit_text(value.unit) for name, value in group.vectors.measurements.items()},
            numbers={
                name: number
                for (owner, name), number in group.vectors.numbers.items()
                if owner == person["subject"]
            },
            reference=group.document["reference"].get(person["sex"], {}),
        )
    age = group.document["biological_age"]
    return render(
        request,
        "node/portal/comorbidome.html",
        studies=group.studies,
        chosen=group.chosen,
        document=group.document,
        titles=titles,
        conditions=group.vectors.conditions,
        figures={name: Markup(drawing) for name, drawing in _figures(group, titles, language).items()},  # noqa: S704 - escaped there
        age=age if "calibration" in age else None,
        missing=_missing_percent(group.document),
    )


@router.get("/values/comorbidome.csv")
def export_vectors(request: Request, user: DatasetReader, study: Id = "") -> Response:
    """Export vectors and z-scores as CSV, one row per subject, for use inside the hospital."""
    group = _load(request, user, study, [])
    names = list(group.vectors.measurements) if group.vectors else []
    conditions = list(group.vectors.conditions) if group.vectors else []
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(
        [
            *("subject", "age_years", "sex", "frailty_index", "age_gap_years"),
            *conditions,
            *names,
            *(f"z {name}" for name in names),
        ]
    )
    for person in group.document.get("subjects", ()):
        gap = person["age_gap"]
        cells = [
            person["subject"],
            person["age_years"],
            person["sex"],
            person["frailty"]["index"],
            gap["years"] if gap else None,
            *(None if state is None else int(state) for state in map(person["conditions"].get, conditions)),
            *(person["values"][name] for name in names),
            *(person["z"][name] for name in names),
        ]
        table.writerow(["" if cell is None else cell for cell in cells])
    return Response(
        text.getvalue(),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="comorbidome.csv"'},
    )


def _load(request: Request, user: User, study: str, features: list[str]) -> _Group:
    from racoon.node.measuring.comorbidome import load_vectors  # noqa: PLC0415 - numpy's neighbours, for this page only
    from racoon.science.comorbidome import describe_group  # noqa: PLC0415 - as above

    archive: Archive = request.app.state.archive
    approvals: Approvals = request.app.state.approvals
    with request.app.state.database.begin() as connection:
        studies, chosen, _ = choose_study(request, connection, user, study)
        found = next((item for item in studies if item.study_id == chosen), None)
        if found is None or not found.dataset_hash:
            return _Group(studies, chosen, None, {})
        approvals.require(connection, found, Purpose.MEASURE)
        manifest = curation.load(connection, chosen, found.dataset_hash)
        vectors = load_vectors(connection, manifest, archive.is_readable)
        _note(connection, request, user, chosen, vectors)
    known = [name for name in features if name in vectors.measurements]
    described = describe_group(vectors.subjects, list(vectors.measurements), chosen, known)
    return _Group(studies, chosen, vectors, described.document)


def _note(connection: sa.Connection, request: Request, user: User, study: str, vectors: Vectors) -> None:
    """Who looks at diagnoses beside images is written down."""
    request.app.state.audit.append(
        connection,
        actor=user.name,
        actor_role=user.main_role,
        action="measurement.comorbidome",
        target=f"study/{study}",
        purpose=study,
        client=request.client.host if request.client else None,
        details={"subjects": len(vectors.subjects), "conditions": len(vectors.conditions)},
    )


def _figures(group: _Group, titles: Mapping[str, str], language: str) -> dict[str, str]:
    say = translations(language).gettext
    names = {
        name: f"{title} {mark}"
        for measurement, title in titles.items()
        for name, mark in ((f"{measurement} high", "↑"), (f"{measurement} low", "↓"))
    }
    present = [
        (names.get(item["name"], item["name"]), item["present"], item["known"])
        for item in group.document["prevalence"]
        if item["present"]
    ]
    links = [
        (
            names.get(link["first"], link["first"]),
            names.get(link["second"], link["second"]),
            link["odds_ratio"],
        )
        for link in group.document["links"]
        if link["shown"]
    ]
    fifths = group.document["biological_age"].get("calibration", {}).get("fifths", [])
    return {
        "prevalence": prevalence_figure(say("How common each is"), present[:SHOWN_IN_BARS])
        if present
        else "",
        "network": ring_figure(say("What goes with what"), present[:SHOWN_IN_RING], links) if present else "",
        "ages": ages_figure(
            say("Calibration of the biological age"),
            [(pair[0], pair[1]) for pair in fifths],
            (say("Predicted age in years"), say("Age in years")),
        ),
    }


def _missing_percent(document: Mapping[str, Any]) -> float | None:
    cells = len(document["subjects"]) * len(document["missing"])
    return 100.0 * sum(document["missing"].values()) / cells if cells else None
