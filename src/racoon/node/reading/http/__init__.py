"""Routes of the reading room: the page at its stable address, findings and reports as JSON.

Every number of a result leads to ``/reading/series/{series}?instance={sop}&frame=1&segment={seg}:{number}``, every
finding to ``/reading/findings/{id}``.  Pixels come from the archive's DICOMweb routes.
"""

from __future__ import annotations

from fastapi import APIRouter

from racoon.node.reading.http import (
    _agreement,
    _answers,
    _coding,
    _decisions,
    _drawings,
    _findings,
    _header,
    _layers,
    _lists,
    _page,
    _practice,
    _protocols,
    _queries,
    _reports,
    _sections,
    _templates,
    _work,
    second_viewer,
)

router = APIRouter(tags=["reading"])
router.include_router(_page.router)
router.include_router(_drawings.router)
router.include_router(_findings.router)
router.include_router(_header.router)
router.include_router(_layers.router)
router.include_router(_sections.router)
router.include_router(_reports.router)
router.include_router(_coding.router)
router.include_router(_queries.router)
router.include_router(_templates.router)
router.include_router(_work.router)
router.include_router(_agreement.router)
router.include_router(_decisions.router)
router.include_router(_practice.router)
router.include_router(_protocols.router)
router.include_router(_lists.router)
router.include_router(_answers.router)
router.include_router(second_viewer.router)
