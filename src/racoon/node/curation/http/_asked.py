"""What the routes of the gallery share: who asks, and what for."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request
from pydantic import BaseModel, Field, StringConstraints

from racoon.node.curation.gallery import Gallery
from racoon.node.curation.model import FACET_NAMES, OTHER_FACETS, GalleryFilter
from racoon.platform.auth import User, require

Looker = Annotated[User, Depends(require("archive.read"))]
Tagger = Annotated[User, Depends(require("series.tag"))]
Freezer = Annotated[User, Depends(require("dataset.freeze"))]

Value = Annotated[str, StringConstraints(max_length=200)]
Values = Annotated[list[Value], Field(max_length=50)]
Text = Annotated[str, StringConstraints(max_length=64, strip_whitespace=True)]
Day = Annotated[str, StringConstraints(pattern=r"^(\d{4}-?\d{2}-?\d{2})?$")]
Number = Annotated[str, StringConstraints(pattern=r"^[0-9]{0,6}$")]


class Asked(BaseModel):
    """The query of the gallery; empty fields match all."""

    modality: Values = []
    body_part: Values = []
    kind: Values = []
    plane: Values = []
    contrast: Values = []
    thickness: Values = []
    manufacturer: Values = []
    mask: Values = []
    quality: Values = []
    rule: Values = []
    tag: Values = []
    check: Values = []
    subject: Text = ""
    text: Text = ""
    day_from: Day = ""
    day_to: Day = ""
    images_from: Number = ""
    images_to: Number = ""
    within: Values = []
    without: Values = []

    def wanted(self) -> GalleryFilter:
        """Return what the gallery is asked for."""
        names = (*FACET_NAMES, *OTHER_FACETS)
        return GalleryFilter(
            facets={name: tuple(values) for name in names if (values := getattr(self, name))},
            subject=self.subject,
            text=self.text,
            day_from=self.day_from.replace("-", ""),
            day_to=self.day_to.replace("-", ""),
            images_from=int(self.images_from) if self.images_from else None,
            images_to=int(self.images_to) if self.images_to else None,
            within=tuple(self.within),
            without=tuple(self.without),
        )


Wanted = Annotated[Asked, Query()]


def gallery_of(request: Request) -> Gallery:
    """Return the gallery that the application holds."""
    found: Gallery = request.app.state.gallery
    return found
