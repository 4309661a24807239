"""The pages of a registry's tables: saved mappings, the editor with its preview, and the way in.

They expect ``app.state.tables``.  What is chosen in the editor stays in the browser's form: nothing of a table is kept
here, and a cell is shown only as a word of a column that the person gave a clinical meaning, or as what it becomes
under an invented pseudonym.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from racoon.errors import Defect
from racoon.node.clinical import mapping_form
from racoon.node.clinical.import_report import REASONS as IMPORT_REASONS
from racoon.node.clinical.mapping_form import CATALOGUES, DATE_FORMATS, GENDERS, Draft
from racoon.node.clinical.spreadsheet import REASONS, SHOWN_LINES, Refusals
from racoon.node.clinical.table_mapping import TableMapping
from racoon.node.clinical.tables import Sample, TableDesk, preview_rows, read_sample
from racoon.node.clinical.uploads import Uploaded, read_form
from racoon.platform.auth import User, require
from racoon.standards.fhir.building import Resource
from racoon.web.pages import render

router = APIRouter(prefix="/intake/tables", include_in_schema=False)

Taker = Annotated[User, Depends(require("table.take"))]

SAMPLE_BYTES = 64 << 10
"""Of a table that the editor looks at."""

EXAMPLE = "ja = http://snomed.info/sct|77176002"

ROWS_SHOWN = 8
RESOURCES_SHOWN = 40

SEPARATORS: Mapping[str, str] = {";": "semicolon", ",": "comma", "\t": "tab", "|": "bar"}
ENCODINGS = ("utf-8", "iso-8859-1", "iso-8859-15", "windows-1252", "utf-16")
KINDS: Mapping[str, str] = {
    "observation": "Value",
    "condition": "Diagnosis",
    "procedure": "Procedure",
    "medication": "Medicine",
}
TITLES: Mapping[str, str] = {
    "Observation": "Value",
    "Condition": "Diagnosis",
    "Procedure": "Procedure",
    "MedicationStatement": "Medicine",
}

WITHOUT_NAMES = (
    "The first row seems to hold values and not the names of the columns. Add a first row with names."
)
CHOOSE_TABLE = "Choose a table first."
SENTENCES = (WITHOUT_NAMES, CHOOSE_TABLE)


Form = Annotated[Uploaded, Depends(read_form)]


@router.get("")
def show_tables(request: Request, user: Taker, saved: int = 0) -> Response:
    """Show the saved mappings."""
    return _list(request, saved_number=saved)


@router.get("/new")
def show_new(request: Request, user: Taker) -> Response:
    """Show the editor of a new mapping."""
    return _editor(request, mapping_form.empty_draft(), "")


@router.post("/edit")
async def edit_mapping(request: Request, user: Taker, form: Form) -> Response:
    """Do one step of the editor: look at a table, add or remove an item, preview, save."""
    return await run_in_threadpool(_edit, request, user, form)


@router.get("/{number}")
def show_mapping(request: Request, user: Taker, number: int) -> Response:
    """Show the editor with a saved version."""
    saved = _desk(request).load(number)
    draft = mapping_form.draft_of_mapping(saved.mapping)
    if mapping_form.mapping_of(draft) != saved.mapping:
        draft.refuse("items", mapping_form.TOO_MUCH)
    return _editor(request, draft, "")


@router.post("/{number}/take")
async def take_table(request: Request, user: Taker, number: int, form: Form) -> Response:
    """Take a table by a saved mapping."""
    return await run_in_threadpool(_take, request, user, number, form)


def _desk(request: Request) -> TableDesk:
    desk: TableDesk = request.app.state.tables
    return desk


def _take(request: Request, user: User, number: int, form: Uploaded) -> Response:
    desk = _desk(request)
    saved = desk.load(number)
    table = form.files.get("table", b"")
    if not table:
        return _list(request, problem=CHOOSE_TABLE)
    try:
        report = desk.take(
            saved.mapping, table, actor=user.name, actor_role=user.main_role, version=saved.version
        )
    except Defect as error:
        return _list(request, problem=error.public_message)
    return _list(request, report=report)


def _list(
    request: Request, *, problem: str = "", report: Mapping[str, Any] | None = None, saved_number: int = 0
) -> Response:
    saved = _desk(request).saved()
    newest = {item.title: item for item in reversed(saved)}
    refused = []
    for row in [] if report is None else report["refused_cells"]:
        reason, _, column = row["reason"].partition(" ")
        refused.append(row | {"sentence": REASONS[reason], "column": column})
    causes = (
        [] if report is None else [(name.partition(" "), count) for name, count in report["reasons"].items()]
    )
    return render(
        request,
        "node/intake/tables.html",
        status_code=400 if problem else 200,
        newest=[newest[title] for title in sorted(newest)],
        older=[item for item in saved if newest[item.title].number != item.number],
        problem=problem,
        just_saved=next((item for item in saved if item.number == saved_number), None),
        report=report,
        refused=refused,
        causes=[(IMPORT_REASONS.get(name[0], name[0]), name[2], count) for name, count in causes],
        first_lines=SHOWN_LINES,
    )


def _edit(request: Request, user: User, form: Uploaded) -> Response:
    draft = mapping_form.draft_of_form(form.fields)
    sample = _encoded(form)
    action = form.fields.get("action", "preview")
    if action == "add":
        draft.items.append(mapping_form.new_item())
        return _editor(request, draft, sample)
    if action.startswith("remove-"):
        place = action.removeprefix("remove-")
        if place.isascii() and place.isdigit() and int(place) < len(draft.items):
            del draft.items[int(place)]
        return _editor(request, draft, sample)
    if action == "look":
        return _editor(request, draft, sample, problem="" if sample else CHOOSE_TABLE)
    return _editor(request, draft, sample, saved_by=user if action == "save" else None, is_checked=True)


def _encoded(form: Uploaded) -> str:
    """Return the sample as it travels in the form: the chosen file's first rows, or what came before."""
    table = form.files.get("table", b"")
    if not table:
        return form.fields.get("sample", "")[: SAMPLE_BYTES * 2]
    part = table[:SAMPLE_BYTES]
    if len(table) > SAMPLE_BYTES:
        # A row that is cut in the middle would look wrong; UTF-16 writes two bytes for each end of a line.
        end = part.rfind(b"\n") + 1
        end += end % 2 if form.fields.get("encoding") == "utf-16" else 0
        part = part[:end] if end else part
    return base64.b64encode(part).decode()


def _editor(
    request: Request,
    draft: Draft,
    encoded: str,
    *,
    problem: str = "",
    saved_by: User | None = None,
    is_checked: bool = False,
) -> Response:
    sample, data = None, b""
    if encoded:
        try:
            data = base64.b64decode(encoded, validate=True)
            sample = read_sample(
                data,
                draft.fields["separator"] if len(draft.fields["separator"]) == 1 else ";",
                draft.fields["encoding"] if draft.fields["encoding"] in ENCODINGS else "utf-8",
            )
        except binascii.Error:
            encoded, problem = "", CHOOSE_TABLE
        except Defect as error:
            problem = error.public_message
    if sample is not None and sample.is_without_names:
        sample, problem = None, WITHOUT_NAMES
    if sample is not None:
        mapping_form.check_columns(draft, {column.name for column in sample.columns})
    shown: list[dict[str, str]] = []
    if is_checked:
        mapping = mapping_form.mapping_of(draft)
        if mapping is not None and sample is not None:
            shown = _preview(request, draft, mapping, data)
        if mapping is not None and saved_by is not None and not problem:
            saved = _desk(request).save(mapping, actor=saved_by.name, actor_role=saved_by.main_role)
            return RedirectResponse(f"/intake/tables?saved={saved.number}", status_code=303)
    return render(
        request,
        "node/intake/table.html",
        status_code=400 if is_checked and (draft.problems or problem) else 200,
        draft=draft,
        sample=sample,
        encoded=encoded,
        columns=sorted(_columns(draft, sample)),
        words_in=_words(draft, sample),
        shown=shown,
        rows_shown=ROWS_SHOWN,
        problem=problem,
        kinds=KINDS,
        example=EXAMPLE,
        catalogues=CATALOGUES,
        date_formats=DATE_FORMATS,
        separators=SEPARATORS,
        encodings=ENCODINGS,
        genders=GENDERS,
        may_add=len(draft.items) < mapping_form.MOST_ITEMS,
    )


def _columns(draft: Draft, sample: Sample | None) -> set[str]:
    """Return what a field may name: the table's columns, and what the mapping names already."""
    if sample is not None:
        return {column.name for column in sample.columns}
    named = {draft.fields.get(name, "") for name in ("key", "number", "birth_date", "gender")}
    for item in draft.items:
        named |= {item.get("column", ""), item.get("date", "")}
    return named - {""}


def _words(draft: Draft, sample: Sample | None) -> list[tuple[str, ...]]:
    """Return of each item the words of its column, but never of a column that says who the patient is."""
    if sample is None:
        return [() for _ in draft.items]
    people = {draft.fields.get(name) for name in ("number", "birth_date", "key")}
    return [
        () if item.get("column") in people else sample.words(item.get("column", "")) for item in draft.items
    ]


def _preview(request: Request, draft: Draft, mapping: TableMapping, data: bytes) -> list[dict[str, str]]:
    """Return what the first rows become, and note in the form what of the sample is refused."""
    try:
        resources, refusals = preview_rows(mapping, data, ROWS_SHOWN, system=_desk(request).system)
    except Defect as error:
        draft.refuse("sample", error.public_message)
        return []
    _note(draft, refusals)
    return [_shown(item) for item in resources[:RESOURCES_SHOWN]]


def _note(draft: Draft, refusals: Refusals) -> None:
    """Write beside each field of the form what rows of its column were refused; it may be saved all the same."""
    for name, count in refusals.counts.items():
        reason, _, column = name.partition(" ")
        lines = ", ".join(str(line) for line in refusals.lines[name])
        for place in mapping_form.places_of_column(draft, column)[:1]:
            draft.warnings.setdefault(place, []).append((REASONS[reason], count, lines))


def _shown(resource: Resource) -> dict[str, str]:
    concept = resource.get("code") or resource.get("medicationCodeableConcept") or {}
    value = resource.get("valueQuantity") or {}
    worded = (resource.get("valueCodeableConcept") or {}).get("coding", [])
    days = [text for name, text in resource.items() if name == "recordedDate" or name.endswith("DateTime")]
    coding = (concept.get("coding") or [{}])[0]
    system = str(coding.get("system", ""))
    told = f"{value['value']:g} {value.get('code', '')}" if "value" in value else ""
    return {
        "subject": str(resource["subject"]["reference"]).removeprefix("Patient/"),
        "kind": TITLES[resource["resourceType"]],
        "system": CATALOGUES.get(system, system),
        "code": str(coding.get("code", "")),
        "value": told or (str(worded[0].get("code", "")) if worded else ""),
        "day": days[0] if days else "",
    }
