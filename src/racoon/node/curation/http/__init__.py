"""Routes of the gallery: its page, what the page asks for, views, tags, freezing, and two sets side by side.

They expect ``app.state.gallery``, ``usable_series`` and ``study_choices``; thumbnails are those of DICOMweb.
"""

from __future__ import annotations

from fastapi import APIRouter

from racoon.node.curation.http import _changes, _comparing, _looking

router = APIRouter()
router.include_router(_looking.router)
router.include_router(_changes.router)
router.include_router(_comparing.router)

__all__ = ["router"]
