"""Two sets side by side, as a page and as JSON."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from racoon.errors import RacoonError
from racoon.node.curation.comparing import PARTS, Comparison, compare
from racoon.node.curation.http._asked import Looker, gallery_of
from racoon.node.curation.http._looking import FACET_LABELS, label_of
from racoon.web.pages import render
from racoon.web.translation import language_of

router = APIRouter()

Name = Annotated[str, Query(max_length=200)]

MOST_VALUES = 12
"""Values of a facet that the page shows; the JSON has all."""


@router.get("/gallery/compare", include_in_schema=False)
def show_comparison(request: Request, user: Looker, first: Name = "", second: Name = "") -> Response:
    """Show two sets side by side, or the form that chooses them."""
    gallery, found, problem = gallery_of(request), None, ""
    if first and second:
        try:
            found = compare(request.app.state.database, gallery, user, first, second)
        except RacoonError as error:
            problem = error.public_message
    return render(
        request,
        "node/curation/compare.html",
        status_code=404 if problem else 200,
        sets=gallery.sets(),
        chosen=(first, second),
        problem=problem,
        found=found,
        parts=PARTS,
        tables=_tables(found, language_of(request)) if found else [],
    )


def _tables(found: Comparison, language: str) -> list[dict[str, Any]]:
    """Make a table for each facet: values, numbers, and the width of each bar in per cent of its own part."""
    totals = [max(found.series[part], 1) for part in PARTS]
    return [
        {
            "label": FACET_LABELS[facet],
            "left_out": max(0, len(values) - MOST_VALUES),
            "rows": [
                (
                    label_of(facet, value, language),
                    [
                        (number, 100 * number / total, f"{found.queries[part]}&{urlencode({facet: value})}")
                        for part, number, total in zip(PARTS, numbers, totals, strict=True)
                    ],
                )
                for value, numbers in list(values.items())[:MOST_VALUES]
            ],
        }
        for facet, values in found.distributions.items()
    ]


@router.get("/api/curation/compare")
def read_comparison(request: Request, user: Looker, first: Name, second: Name) -> dict[str, Any]:
    """Compare two sets: ``all``, ``view:7``, ``tag:blurred`` or ``dataset:STUDY/HASH``."""
    return compare(request.app.state.database, gallery_of(request), user, first, second).to_dict()
