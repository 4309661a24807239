"""The gallery's page, and what it asks for while somebody scrolls."""

from __future__ import annotations

import itertools
import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from racoon.domain.consent import ARCHIVE
from racoon.domain.permission import is_permitted
from racoon.node.archive.gallery import MOST_ROWS
from racoon.node.curation.gallery import Shown
from racoon.node.curation.http._asked import Looker, Wanted, gallery_of
from racoon.node.curation.model import FACET_NAMES, KEYS, LONGEST_TAG, OTHER_FACETS
from racoon.standards.dicom.quality import RULES
from racoon.web.pages import render
from racoon.web.translation import language_of
from racoon.web.words import words_of

router = APIRouter()

FACET_LABELS = {
    "modality": "Modality",
    "body_part": "Body part",
    "kind": "Kind",
    "plane": "Plane",
    "contrast": "Contrast",
    "thickness": "Slice thickness",
    "manufacturer": "Manufacturer",
    "mask": "Mask",
    "quality": "Quality",
    "rule": "Rules broken",
    "tag": "Tag",
    "check": "Measuring",
}
"""What a person calls the facets; translated when shown."""

_SPOKEN = {
    "kind": "series.",
    "plane": "series.",
    "contrast": "series.",
    "thickness": "series.",
    "quality": "severity.",
}

SCRIPT_WORDS = (
    "{count} series", "{count} selected", "nothing", "{count} images", "1 image", "mask", "Tagged.", "Untagged.",
    "Nothing was changed.", "The view is saved.", "The view is deleted.", "The dataset is frozen.",
    "The node does not answer; what you see may be old.", "{count} more",
    "Select series first.",
)  # fmt: skip
"""What the gallery's script says."""

OWN_WORDS = ("not known", "nothing found", "not looked at yet", "this site itself")
"""What stands for values that have no name of their own."""

RULE_OF_CODE = {rule.code: rule for rule in RULES}


def label_of(facet: str, value: str, language: str) -> str:
    """Say a value of a facet in the reader's language."""
    words = words_of(language)
    if facet == "rule":
        rule = RULE_OF_CODE.get(value)
        return value if rule is None else rule.text_de if language == "de" else rule.text
    if facet == "mask":
        return words(f"choice.{value}")
    if not value:
        return words("not known")
    if facet == "quality" and value in ("none", "unknown"):
        return words("nothing found" if value == "none" else "not looked at yet")
    return words(_SPOKEN[facet] + value) if facet in _SPOKEN else value


@router.get("/gallery", include_in_schema=False)
def show_gallery(request: Request, user: Looker, asked: Wanted) -> Response:
    """Show the page; its rows come as somebody scrolls."""
    language = language_of(request)
    words = words_of(language)
    wanted = asked.wanted()
    may_freeze = is_permitted("node", user.roles, "dataset.freeze")
    config: dict[str, Any] = {
        "facets": {name: words(FACET_LABELS[name]) for name in (*FACET_NAMES, *OTHER_FACETS)},
        "words": {text: words(text) for text in SCRIPT_WORDS},
        "keys": {key: binding.action for binding in KEYS for key in binding.keys},
        "language": language,
        "user": user.name,
        "filter": wanted.to_dict(),
    }
    return render(
        request,
        "node/curation/gallery.html",
        config=json.dumps(config).replace("<", "\\u003c"),
        keys=[(binding.shown or binding.keys, binding.label) for binding in KEYS],
        asked=asked,
        studies=[(ARCHIVE, words("this site itself")), *request.app.state.study_choices()]
        if may_freeze
        else [],
        longest_tag=LONGEST_TAG,
    )


@router.get("/api/curation/gallery")
def read_outline(request: Request, user: Looker, asked: Wanted) -> dict[str, Any]:
    """Return which series match, newest first.

    ``ids`` holds the first id and then the steps down to each next one: a hundred thousand neighbours are small.
    """
    ids = gallery_of(request).outline(user, asked.wanted())
    steps = [before - after for before, after in itertools.pairwise(ids)]
    return {"total": len(ids), "ids": [*ids[:1], *steps]}


@router.get("/api/curation/gallery/facets")
def read_facets(request: Request, user: Looker, asked: Wanted) -> dict[str, Any]:
    """Count the values of every facet among the series that match all other facets, most frequent first."""
    language = language_of(request)
    found = gallery_of(request).facets(user, asked.wanted())
    return {
        "facets": {
            name: [
                {"value": value, "label": label_of(name, value, language), "series": number}
                for value, number in sorted(values.items(), key=lambda item: (-item[1], item[0]))
            ]
            for name, values in found.items()
        }
    }


@router.get("/api/curation/gallery/series")
def read_series(
    request: Request,
    user: Looker,
    asked: Wanted,
    ids: Annotated[str, Query(pattern=r"^[0-9,]*$", max_length=6000)] = "",
) -> dict[str, Any]:
    """Return some series by id, newest first; without ids, the newest that match."""
    gallery = gallery_of(request)
    wanted = [int(word) for word in ids.split(",") if word and len(word) < 12]
    chosen = wanted[:MOST_ROWS] if ids else gallery.outline(user, asked.wanted())[:50]
    language = language_of(request)
    return {"series": [_row(item, language) for item in gallery.rows(user, chosen)]}


def _row(item: Shown, language: str) -> dict[str, Any]:
    row = item.row
    said = [label_of(name, getattr(row, name), language) for name in ("kind", "plane", "contrast")]
    return {
        "id": row.id,
        "series": row.series_uid,
        "imaging_study": row.imaging_study_uid,
        "subject": str(row.pseudonym),
        "modality": row.modality,
        "body_part": row.body_part,
        "description": row.description,
        "day": row.day_shifted,
        "images": row.images,
        "class": " · ".join(said) if row.kind else "",
        "quality": row.quality if row.rules else "",
        "quality_label": label_of("quality", row.quality, language) if row.rules else "",
        "rules": [label_of("rule", code, language) for code in row.rules],
        "checks": list(item.checks),
        "tags": list(item.tags),
        "has_mask": row.has_mask,
    }
