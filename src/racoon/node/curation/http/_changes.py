"""What somebody changes from the gallery: tags, saved views, a frozen dataset."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field

from racoon.node.curation.http._asked import Asked, Freezer, Looker, Tagger, gallery_of

router = APIRouter(prefix="/api/curation", tags=["curation"])

Ids = Annotated[list[Annotated[int, Field(ge=1, le=2**31 - 1)]], Field(max_length=200_000)]
Name = Annotated[str, Field(min_length=1, max_length=80)]
Number = Annotated[int, Path(ge=1)]


class Tagging(BaseModel):
    """A tag that some series get, or lose."""

    tag: Annotated[str, Field(min_length=1, max_length=80)]
    ids: Ids
    take: bool = False


class NewView(BaseModel):
    """A name for what the gallery shows now."""

    name: Name
    filter: Asked = Asked()


class NewDataset(BaseModel):
    """What is frozen, under which name, for which study."""

    study: Name
    name: Name
    ids: Ids


@router.post("/tags")
def tag_series(request: Request, user: Tagger, tagging: Tagging) -> dict[str, int]:
    """Give some series a tag, or take it from them; answers with how many were changed."""
    return {"changed": gallery_of(request).tag(user, tagging.tag, tagging.ids, take=tagging.take)}


@router.get("/views")
def read_views(request: Request, user: Looker) -> dict[str, Any]:
    """Return the saved views by name."""
    return {"views": [view.to_dict() for view in gallery_of(request).views()]}


@router.post("/views")
def save_view(request: Request, user: Tagger, view: NewView) -> dict[str, Any]:
    """Save what the gallery shows under a name; a name of one's own is replaced."""
    return gallery_of(request).save_view(user, view.name, view.filter.wanted()).to_dict()


@router.delete("/views/{number}", status_code=204)
def delete_view(request: Request, user: Tagger, number: Number) -> None:
    """Delete a view of one's own."""
    gallery_of(request).delete_view(user, number)


@router.post("/datasets")
def freeze(request: Request, user: Freezer, dataset: NewDataset) -> dict[str, Any]:
    """Freeze some series to a dataset; the same content again has the same hash."""
    manifest = gallery_of(request).freeze(
        user, dataset.study, dataset.name, dataset.ids, request.app.state.usable_series
    )
    return {
        "study": manifest.study_id,
        "name": manifest.name,
        "hash": manifest.hash,
        "series": len(manifest.series),
        "subjects": manifest.subject_count,
        "left_out": len(set(dataset.ids)) - len(manifest.series),
    }
