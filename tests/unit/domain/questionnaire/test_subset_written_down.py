"""The subset of Questionnaires as the documentation has it is the one that templates are read by."""

from __future__ import annotations

import re
from pathlib import Path

from racoon.domain.questionnaire import template


def test_what_is_written_is_what_is_read(repository: Path) -> None:
    page = (repository / "docs" / "how-to" / "write-report-templates.md").read_text(encoding="utf-8")
    section = page[page.index("## The subset") : page.index("## Write one")]
    elements, extensions = section.split("| Extension of an item |")
    assert _first_column(elements) | {"extension"} == template._KNOWN_KEYS
    known = {url.rpartition("/")[2].rpartition(":")[2] for url in template._KNOWN_EXTENSIONS}
    assert _first_column(extensions) == known
    kinds = next(line for line in elements.splitlines() if line.startswith("| `type`"))
    assert set(re.findall(r"`([^`]+)`", kinds)) - {"type"} == template.KINDS
    operators = next(line for line in elements.splitlines() if line.startswith("| `enableWhen`"))
    assert set(re.findall(r"`([^`]+)`", operators)) >= template.OPERATORS


def _first_column(table: str) -> set[str]:
    lines = [line for line in table.splitlines() if line.startswith("| `")]
    return {name for line in lines for name in re.findall(r"`([^`]+)`", line.split("|")[1])}
