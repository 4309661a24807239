"""The generated part of the reference: command line, settings, messages, errors, HTTP interface.

Each function reads the product itself and returns one Markdown page, so that the pages cannot lie.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin

from fastapi import APIRouter, FastAPI
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import racoon
from racoon.cli.app import build_app
from racoon.cli.failures import EXTRA_OF, MEANING
from racoon.errors import RacoonError
from racoon.science.biomarkers import CATALOGUE, REASONS
from racoon.science.biomarkers.reasons import QUALITY
from racoon.science.biomarkers.structures import CODES

GENERATED = "<!-- made by tools/reference.py from the product itself; changes here are lost -->\n\n"

CLI_FOOTER = """
`--debug` after any command prints where an error came from. With `--json` an error is one document too:
`{"error": {"code": …, "kind": …, "message": …, "exit_code": …}}`.
"""

SETTINGS_HEADER = """# Settings

A TOML file is overridden by the environment, the environment by flags. Nested keys are tables in the file
(`[http]`, `port = 8600`) and joined by two underscores in the environment (`RACOON_NODE_HTTP__PORT`). A wrong
key stops the start and names the file, the line and the fix.
"""

ERRORS_HEADER = """# Errors

Each error is one of three kinds: **refused** (a rule says no; never try again), **unavailable** (try later;
queues do so by themselves), **defect** (data or program is wrong; a person has to look). Over HTTP an error
is `application/problem+json` (RFC 9457) with `type`, `title`, `status`, `detail` and `code`; `detail` is the
public message and never holds an identifier.

| code | kind | HTTP | meaning |
| --- | --- | --- | --- |
"""

API_HEADER = """# HTTP API

Both roles publish their OpenAPI description at `/openapi.json`. Errors are `application/problem+json`. People
use a session cookie or a bearer token; nodes use their certificate.
"""


def cli_page() -> str:
    """Every command with every flag, and the exit codes."""
    text = build_app().generate_docs(output_format="markdown")
    text = re.sub(r"\n## Table of Contents\n.*?(?=\n\*\*Commands\*\*)", "\n", text, count=1, flags=re.DOTALL)
    text = text.replace("# racoon\n", "# Command line\n", 1)
    codes = "\n".join(f"| {code} | {meaning} |" for code, meaning in sorted(MEANING.items()))
    return f"{GENERATED}{text}\n## Exit codes\n\n| code | meaning |\n| --- | --- |\n{codes}\n" + CLI_FOOTER


def attribute_texts(cls: type[BaseModel]) -> dict[str, str]:
    """Description of each attribute in the numpydoc section ``Attributes`` of a class and its bases."""
    texts: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        section = re.search(r"Attributes\n-+\n(.*)", inspect.cleandoc(base.__doc__ or ""), flags=re.DOTALL)
        if section is None or base.__module__.split(".")[0] != "racoon":
            continue
        names: list[str] = []
        for line in section.group(1).splitlines():
            if line and not line.startswith(" "):
                names = [name.strip() for name in line.split(":")[0].split(",")]
            elif line.strip():
                for name in names:
                    texts[name] = f"{texts.get(name, '')} {line.strip()}".strip()
    return texts


def setting_rows(cls: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Key, type, default and meaning of every setting, nested ones with their table's name before them."""
    texts = attribute_texts(cls)
    for name, field in cls.model_fields.items():
        nested = nested_model(field)
        if nested is not None:
            yield from setting_rows(nested, f"{prefix}{name}.")
            continue
        meaning = field.description or texts.get(name, "")
        yield f"{prefix}{name}", type_text(field), default_text(field), meaning


def nested_model(field: FieldInfo) -> type[BaseModel] | None:
    """The model behind a field that is a table of its own."""
    for candidate in (field.annotation, *get_args(field.annotation)):
        if inspect.isclass(candidate) and issubclass(candidate, BaseModel):
            return candidate
    return None


def type_text(field: FieldInfo) -> str:
    """Type of a setting in words of TOML."""
    return _words(field.annotation)


def _words(annotation: object) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "one of " + ", ".join(f"`{choice}`" for choice in arguments)
    if origin in (tuple, list, frozenset):
        return f"list of {_words(arguments[0])}"
    if origin is dict:
        return "table"
    if origin is Annotated:
        return _words(arguments[0])
    if arguments:  # X | None
        return " or ".join(_words(part) for part in arguments if part is not type(None))
    names = {Path: "path", str: "text", bool: "true or false", int: "whole number", float: "number"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))  # type: ignore[call-overload]  # any annotation


def default_text(field: FieldInfo) -> str:
    """Default of a setting as it would stand in TOML."""
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if value is None or value == "":
        return "–"
    return f"`{json.dumps(value, default=str, ensure_ascii=False)}`"


def settings_page() -> str:
    """Every key of both roles."""
    node = importlib.import_module("racoon.node.settings").NodeSettings
    central = importlib.import_module("racoon.central.settings").CentralSettings
    parts = [GENERATED + SETTINGS_HEADER]
    for title, cls, variable in (("Node", node, "RACOON_NODE_"), ("CENTRAL", central, "RACOON_CENTRAL_")):
        rows = "\n".join(
            f"| `{key}` | {kind} | {default} | {meaning} |"
            for key, kind, default, meaning in setting_rows(cls)
        )
        parts.append(
            f"\n## {title}\n\nEnvironment: `{variable}…`\n\n"
            f"| key | type | default | meaning |\n| --- | --- | --- | --- |\n{rows}\n"
        )
    return "".join(parts)


def product_modules() -> Iterator[str]:
    """Names of all modules of the product."""
    for module in pkgutil.walk_packages(racoon.__path__, "racoon.", onerror=lambda _: None):
        if ".migrations" not in module.name and module.name != "racoon.__main__":
            yield module.name


def error_classes() -> list[type[RacoonError]]:
    """Every error class of the product, wherever it is defined."""
    for name in product_modules():
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] not in EXTRA_OF:
                raise
    found: set[type[RacoonError]] = set()
    waiting = [RacoonError]
    while waiting:
        cls = waiting.pop()
        found.add(cls)
        waiting += cls.__subclasses__()
    return sorted((cls for cls in found if cls.__module__.startswith("racoon.")), key=lambda cls: cls.code)


def errors_page() -> str:
    """Every error with its code, kind and HTTP status."""
    rows = []
    for cls in error_classes():
        first = inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].replace("\n", " ").replace("|", "\\|")
        rows.append(f"| `{cls.code}` | {cls.kind} | {cls.status} | {first} |")
    return GENERATED + ERRORS_HEADER + "\n".join(rows) + "\n"


def protocol_page() -> str:
    """Every message that crosses the wall, with its JSON Schema."""
    protocol = importlib.import_module("racoon.protocol")
    version = ".".join(str(part) for part in protocol.PROTOCOL_VERSION)
    parts = [
        f"{GENERATED}# Messages between node and CENTRAL\n\nProtocol version {version}. ",
        f"{inspect.cleandoc(protocol.__doc__ or '')}\n\n## Envelope\n\n",
        f"{prose(protocol.Envelope)}\n\n{schema_block(protocol.Envelope)}",
    ]
    for name, form in protocol.MESSAGES.items():
        direction = form.direction.value.replace("_", " ")
        parts.append(f"\n## `{name}`\n\n*{direction}*\n\n{prose(form.form)}\n\n{schema_block(form.form)}")
    return "".join(parts)


def prose(model: type[BaseModel]) -> str:
    """The docstring of a model up to its list of attributes."""
    return re.split(r"\n\s*Attributes\n-+", inspect.cleandoc(model.__doc__ or ""))[0].strip()


def schema_block(model: type[BaseModel]) -> str:
    """JSON Schema of a model, folded away."""
    schema = json.dumps(model.model_json_schema(), indent=2, ensure_ascii=False)
    indented = "\n".join(f"    {line}" for line in schema.splitlines())
    return f'??? note "JSON Schema"\n    ```json\n{indented}\n    ```\n'


def routers(role: str) -> Iterator[APIRouter]:
    """Every router that a context of a role defines."""
    for name in product_modules():
        if re.fullmatch(rf"racoon\.{role}\.[\w.]+\.http(\.\w+)?", name):
            module = importlib.import_module(name)
            yield from (value for value in vars(module).values() if isinstance(value, APIRouter))


def api_page() -> str:
    """Every HTTP operation of both roles, from their OpenAPI descriptions."""
    parts = [GENERATED + API_HEADER]
    for title, role in (("Node", "node"), ("CENTRAL", "central")):
        app = FastAPI(title=title)
        for router in {id(found): found for found in routers(role)}.values():
            app.include_router(router)
        rows = []
        for path, operations in sorted(app.openapi()["paths"].items()):
            for verb, operation in operations.items():
                text = operation.get("description") or operation.get("summary", "")
                first = str(text).split("\n\n")[0].replace("\n", " ").replace("|", "\\|")
                rows.append(f"| {verb.upper()} | `{path}` | {first} |")
        parts.append(f"\n## {title}\n\n| | path | |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n")
    return "".join(parts)


BIOMARKERS_HEADER = """# Biomarkers

Each definition has a version; any change of a number or rule makes a new one. Outside its limits a value is
kept and marked "not valid" with its reason; nothing to measure gives no value and a reason, never 0.
Intervals are closed at both ends unless the rule says otherwise. Research use only.
"""


def _structures(names: Sequence[str]) -> str:
    """Names of structures with their code, for those that have one."""
    coded = [(name, CODES.get(name)) for name in names]
    return ", ".join(f"`{name}` ({code.key})" if code else f"`{name}`" for name, code in coded)


def biomarkers_page() -> str:
    """Every definition of the catalogue with rule, parameters and limits, and every reason."""
    parts = [GENERATED + BIOMARKERS_HEADER]
    for definition in CATALOGUE.values():
        limits = [", ".join(sorted(definition.validity.modalities)) or "any modality"]
        if definition.validity.kvp:
            limits.append("{:g} to {:g} kV".format(*definition.validity.kvp))
        if definition.validity.unenhanced:
            limits.append("without contrast medium")
        if definition.validity.enhanced:
            limits.append("with contrast medium")
        if definition.validity.maximum_slice_mm:
            limits.append(f"slices up to {definition.validity.maximum_slice_mm:g} mm")
        if definition.validity.gated:
            limits.append("triggered by the heart beat")
        rows = [
            ("German", definition.title_de),
            ("unit (UCUM)", f"`{definition.unit}`"),
            ("rule", definition.formula),
            (
                "parameters",
                ", ".join(f"`{key}` = {value}" for key, value in definition.defaults.items()) or "none",
            ),
            ("measured on", _structures(definition.applies_to) or "any structure"),
            *([("also needs", _structures(definition.needs))] if definition.needs else []),
            *(
                [("must be given", ", ".join(f"`{name}`" for name in definition.required))]
                if definition.required
                else []
            ),
            ("valid for", "; ".join(limits)),
            (
                "warns",
                "; ".join(
                    (rule.__doc__ or "").splitlines()[0].removeprefix("Warn ").rstrip(".")
                    for rule in definition.quality
                ),
            ),
            *([("reference", definition.ranges)] if definition.ranges else []),
            ("source", definition.source),
        ]
        # A bar in a rule is a determinant, not the border of a cell.
        table = "\n".join(f"| {name} | {text.replace('|', chr(92) + '|')} |" for name, text in rows)
        heading = f"\n## `{definition.key}` {definition.title_en}\n\n"
        parts.append(f"{heading}| | |\n| --- | --- |\n{table}\n")
    reasons = "\n".join(f"| `{code}` | {german} | {english} |" for code, (german, english) in REASONS.items())
    parts.append(f"\n## Reasons\n\n| code | Deutsch | English |\n| --- | --- | --- |\n{reasons}\n")
    warnings = "\n".join(
        f"| `{code}` | {german} | {english} |" for code, (german, english) in QUALITY.items()
    )
    parts.append(f"\n## Warnings\n\n| code | Deutsch | English |\n| --- | --- | --- |\n{warnings}\n")
    return "".join(parts)


PAGES: dict[str, Callable[[], str]] = {
    "cli.md": cli_page,
    "settings.md": settings_page,
    "errors.md": errors_page,
    "protocol.md": protocol_page,
    "api.md": api_page,
    "biomarkers.md": biomarkers_page,
}
"""Generated pages of ``docs/reference``."""


def write_pages(folder: Path) -> None:
    """Write every generated page into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in PAGES.items():
        (folder / name).write_text(make(), encoding="utf-8")
