"""The page of what goes out as FHIR: every resource as it would leave, what checks say, what was taken out and refused.

It expects ``app.state.fhir``, ``archive``, ``database``, ``audit`` and ``settings``.  Rights are those of the facade.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from racoon.node.archive.records import everybody
from racoon.node.clinical import _push_store, outgoing
from racoon.node.clinical.model import TYPES, NoSuchResource, parse_search
from racoon.node.clinical.rights import may_read, sees_reports
from racoon.node.clinical.service import load_reports
from racoon.node.curation import service as curation
from racoon.platform.auth import User, require
from racoon.web.pages import render

router = APIRouter(prefix="/intake/outgoing", include_in_schema=False)

Looker = Annotated[User, Depends(require("outgoing.read"))]

LISTED = 12
"""Elements that imports left behind, the most frequent ones."""


@router.get("")
def show_outgoing(
    request: Request,
    user: Looker,
    kind: Annotated[str, Query(alias="type", max_length=40)] = "",
    dataset: Annotated[str, Query(max_length=64)] = "",
    after: Annotated[int, Query(ge=0)] = 0,
) -> Response:
    """Show resources of one type as they would leave, of everything or of one frozen dataset."""
    state = request.app.state
    kinds = [name for name in TYPES if may_read(user, name)]
    chosen = kind or (kinds[0] if kinds else "")
    if chosen and chosen not in kinds:
        raise NoSuchResource("There is no such resource here, or your roles do not show it.")
    with state.database.connect() as connection:
        datasets = curation.datasets(connection)
        manifest = next(
            (
                curation.load(connection, item["study_id"], item["hash"])
                for item in datasets
                if item["hash"] == dataset
            ),
            None,
        )
        people = (
            sorted({entry.pseudonym for entry in manifest.series})
            if manifest is not None
            else everybody(connection)
        )
        kept = outgoing.kept_back(connection, state.archive, people)
        imports = load_reports(connection)
        settings = state.settings
        sent = _push_store.subjects(connection, settings.fhir.push_to) if settings.fhir.push_to else []
    shown: list[outgoing.Shown] = []
    next_after = 0
    if chosen:
        search = replace(
            parse_search(chosen, []), seen_by=user.name, with_reports=sees_reports(user), after=after
        )
        search = outgoing.narrowed(search, manifest, state.archive) if manifest is not None else search
        _audit(request, user, chosen, dataset)
        shown, next_after = outgoing.look_at(state.fhir, state.archive, search)
    return render(
        request,
        "node/intake/outgoing.html",
        kinds=kinds,
        kind=chosen,
        datasets=datasets,
        dataset=dataset if manifest is not None else "",
        shown=shown,
        texts=[json.dumps(item.resource, indent=1, ensure_ascii=False) for item in shown],
        next_after=next_after,
        after=after,
        kept=kept,
        people=len(people),
        removed_words=outgoing.REMOVED,
        never=outgoing.NEVER,
        left_behind=_left_behind(imports),
        version=state.fhir.writing.version.name,
        validator=settings.fhir.validator_jar,
        push_to=settings.fhir.push_to,
        sent=len(sent),
    )


def _audit(request: Request, user: User, kind: str, dataset: str) -> None:
    state = request.app.state
    with state.database.begin() as connection:
        state.audit.append(
            connection,
            actor=user.name,
            actor_role=user.main_role,
            action="fhir.search",
            target=f"fhir/{kind}",
            client=request.client.host if request.client else None,
            details={"parameters": ["dataset"] if dataset else [], "preview": True},
        )


def _left_behind(imports: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """Sum the elements that the last imports did not take."""
    counts: dict[str, int] = {}
    for report in imports:
        for name, count in report.get("left_behind", {}).items():
            counts[name] = counts.get(name, 0) + count
    return sorted(counts.items(), key=lambda item: -item[1])[:LISTED]
