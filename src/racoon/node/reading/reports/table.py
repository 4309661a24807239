"""Signed answers as a table: a row per answer; codes, words and numbers in their own columns; CSV or Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from racoon.domain.questionnaire import (
    Answer,
    Answered,
    BadAnswers,
    CodedWords,
    Coding,
    Item,
    Template,
    answer_of_fhir,
    answer_to_fhir,
    answers_by_path,
    items_of,
)
from racoon.errors import Refused
from racoon.node.reading.reports.model import ReportVersion
from racoon.node.reading.reports.published import answers_of

COLUMNS = (
    "list", "duty", "pseudonym", "imaging_study", "reader", "signed_at", "report", "version", "sha256", "template",
    "path", "link_id", "question_system", "question_code", "question", "answer_system", "answer_code", "answer",
    "number", "unit", "truth", "text", "finding", "automation",
)  # fmt: skip
"""One row per answer; what does not fit the kind of the answer is empty."""


class ParquetMissing(Refused):
    """Parquet is written by an optional library."""

    code: ClassVar[str] = "reading.parquet_missing"
    status: ClassVar[int] = 501


def rows_of(
    version: ReportVersion, forms: Mapping[str, Template], *, list_name: str, duty: str
) -> Iterator[dict[str, Any]]:
    """Yield the answers of a signed version."""
    template = forms[version.response["questionnaire"]]
    asked = {item.link_id: item for item in template.walk()}
    for path, answers in answers_by_path(template, answers_of(version, forms)).items():
        item = asked[path.rpartition("/")[2].partition("[")[0]]
        question = item.codes[0] if item.codes else Coding("", "")
        for answer in answers:
            shared = dict.fromkeys(COLUMNS) | {
                "list": list_name,
                "duty": duty,
                "pseudonym": version.pseudonym,
                "imaging_study": version.imaging_study_uid,
                "reader": version.author,
                "signed_at": version.signed_at.isoformat(),
                "report": version.report_id,
                "version": version.version,
                "sha256": version.sha256,
                "template": template.canonical,
                "path": path,
                "link_id": item.link_id,
                "question_system": question.system,
                "question_code": question.code,
                "question": item.words.text,
                "finding": answer.finding_id or None,
                "automation": answer.level or "manual",
            }
            yield shared | _value(item, answer)
            # Codes of words in a text: rows of their own after the text, with the words and the concept.
            for coded in answer.codes:
                yield shared | _value(item, Answer(coded.coding)) | {"text": coded.words}


def _value(item: Item, answer: Answer) -> dict[str, Any]:
    value = answer.value
    if isinstance(value, Coding):
        return {"answer_system": value.system, "answer_code": value.code, "answer": value.display}
    if isinstance(value, bool):
        return {"truth": value}
    if isinstance(value, int | float):
        return {"number": float(value), "unit": item.unit.code if item.unit else None}
    return {"text": value}


def items_of_rows(template: Template, rows: Iterable[Mapping[str, Any]]) -> tuple[Answered, ...]:
    """Return the answers of one signed version from its rows: the way back, without loss.

    Raises
    ------
    BadAnswers
        If they are not answers of this template.
    """
    asked = {item.link_id: item for item in template.walk()}
    kinds = {name: item.kind for name, item in asked.items()}
    root: list[dict[str, Any]] = []
    for row in rows:
        level = root
        *groups, last = str(row["path"]).split("/")
        for name in groups:
            link_id, _, number = name.partition("[")
            same = [node for node in level if node["linkId"] == link_id]
            at = int(number.rstrip("]")) if number else 0
            while len(same) <= at:
                node: dict[str, Any] = {"linkId": link_id, "item": []}
                level.append(node)
                same.append(node)
            level = same[at]["item"]
        if last not in kinds:
            raise BadAnswers("The answers name a question that the template does not have at this place.")
        found = next((node for node in level if node["linkId"] == last), None)
        if found is None:
            found = {"linkId": last, "answer": []}
            level.append(found)
        if kinds[last] in ("string", "text") and row["answer_code"]:
            coded = CodedWords(
                row["text"], Coding(row["answer_system"], row["answer_code"], row["answer"] or "")
            )
            before = answer_of_fhir(asked[last], found["answer"].pop())
            found["answer"].append(answer_to_fhir(kinds[last], replace(before, codes=(*before.codes, coded))))
            continue
        found["answer"].append(answer_to_fhir(kinds[last], _answer_of(kinds[last], row)))
    return items_of(template, root)


def _answer_of(kind: str, row: Mapping[str, Any]) -> Answer:
    value: Any = row["text"]
    if kind == "choice":
        value = Coding(row["answer_system"], row["answer_code"], row["answer"] or "")
    elif kind == "boolean":
        value = row["truth"]
    elif kind in ("integer", "decimal"):
        value = int(row["number"]) if kind == "integer" else row["number"]
    level = row["automation"] if row["automation"] != "manual" else ""
    return Answer(value, row["finding"] or "", level)


def write_csv(rows: Iterable[dict[str, Any]]) -> bytes:
    """Write rows as CSV (RFC 4180) in full precision; no cell can start a spreadsheet formula."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([cell(row[name]) for name in COLUMNS])
    return buffer.getvalue().encode("utf-8")


def cell(value: object) -> str:
    """Write a value for a cell: numbers in full precision, and nothing that a spreadsheet takes for a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    text = str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def write_parquet(rows: Iterable[dict[str, Any]]) -> bytes:
    """Write rows as Apache Parquet; numbers and truth values keep their types, what is empty is null.

    Raises
    ------
    ParquetMissing
        If the library is not installed.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - optional
        from pyarrow import parquet  # noqa: PLC0415 - as above
    except ImportError:
        raise ParquetMissing(
            "This node cannot write Parquet; install the extra `parquet` or take the table as CSV."
        ) from None
    types = {"number": pa.float64(), "truth": pa.bool_(), "version": pa.int32()}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in COLUMNS])
    found = list(rows)
    table = pa.table({name: [row[name] for row in found] for name in COLUMNS}, schema=schema)
    sink = io.BytesIO()
    parquet.write_table(table, sink, compression="zstd")
    return sink.getvalue()
