"""A diagnostics bundle: what somebody elsewhere needs to help, and nothing of any person.

Only what is named here goes in, so that a new field of a log or a new setting stays out until somebody has thought
about it.  Names, texts, paths, hosts and UIDs are left out; numbers of rows are given by their order of magnitude.
"""

from __future__ import annotations

import json
import platform
import shutil
import sys
import zipfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import IO, Any, Final

import sqlalchemy as sa

from racoon import __version__
from racoon.errors import RacoonError
from racoon.platform import clock
from racoon.platform.database import Database
from racoon.platform.diagnosis.finding import Finding

LOG_LINES: Final = 5000
"""Newest lines of each log that are looked at."""

LOG_FIELDS: Final = frozenset(
    {
        "time", "level", "logger", "process", "pid", "event", "error", "at", "cause", "code",
        "method", "status", "duration_ms", "listener", "port", "child", "exit_code", "signal", "job_kind", "queue",
        "state", "attempt", "attempts", "delay_s", "seconds", "restarts", "message_type", "modality",
        "count", "total", "bytes", "revision", "version", "rule", "outcome", "phase", "round",
    }
)  # fmt: skip
"""Fields of a log line that name no person, no image, no study, no site, no path and no host."""

README: Final = """Diagnostics of one RACOON installation, made to be sent to somebody who helps.

findings.json  what racoon doctor said, by check and state, without its sentences
versions.json  program, Python, operating system, installed packages
settings.json  which settings are given; numbers and switches with their value, all others without
database.json  kind, revision, and the order of magnitude of the rows of each table
disk.json      size and free space of the data folder's disk, in GB
log.jsonl      newest log lines with harmless fields only

No names, pseudonyms, UIDs, studies, reports, images, hosts, paths, keys or passwords are in it.
It is plain text: read it before you send it.
"""


def write_bundle(
    target: IO[bytes],
    *,
    findings: Iterable[Finding],
    settings: Mapping[str, Any],
    data_folder: Path,
    database: Database | None,
) -> dict[str, int]:
    """Write a diagnostics bundle as a ZIP file.

    Parameters
    ----------
    target
        Where to write it.
    findings
        Of ``racoon doctor``; only check and state are kept.
    settings
        The configuration file as it was read.
    data_folder
        With the logs below it, in ``logs``.
    database
        The role's own; closed afterwards. ``None`` where there is none yet.

    Returns
    -------
    dict
        Names of the files in it with their bytes.
    """
    parts = {
        "README.txt": README,
        "findings.json": _json([{"check": _word(item.check), "state": item.state} for item in findings]),
        "versions.json": _json(_versions()),
        "settings.json": _json(outline(settings)),
        "database.json": _json(_database(database)),
        "disk.json": _json(_disk(data_folder)),
        "log.jsonl": "".join(f"{line}\n" for line in _log_lines(data_folder / "logs")),
    }
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return {name: len(text.encode()) for name, text in parts.items()}


def outline(settings: Any) -> Any:
    """Keep the names of settings, and the values of numbers and switches; every text is only said to be there."""
    if isinstance(settings, Mapping):
        return {str(key): outline(value) for key, value in settings.items()}
    if isinstance(settings, list):
        return [outline(item) if isinstance(item, Mapping) else "given" for item in settings]
    return settings if isinstance(settings, bool | int | float) else "given"


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True) + "\n"


def _word(check: str) -> str:
    # A check is named after what it looks at; after a comma or colon stands where.
    return check.partition(":")[0].partition(",")[0]


def _versions() -> dict[str, Any]:
    found = {
        item.metadata["Name"]: item.version for item in metadata.distributions() if item.metadata["Name"]
    }
    return {
        "racoon": __version__,
        "python": sys.version.split()[0],
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "made": clock.to_text(clock.now()),
        "packages": found,
    }


def _database(database: Database | None) -> dict[str, Any]:
    if database is None:
        return {"is_open": False}
    try:
        with database.connect() as connection:
            return _look_into(connection)
    except (sa.exc.SQLAlchemyError, RacoonError) as error:
        return {"is_open": False, "error": type(error).__name__}
    finally:
        database.dispose()


def _look_into(connection: sa.Connection) -> dict[str, Any]:
    tables = sorted(sa.inspect(connection).get_table_names())
    rows = {name: magnitude(_count(connection, name)) for name in tables}
    revision = None
    if "alembic_version" in tables:
        revision = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return {"is_open": True, "kind": connection.dialect.name, "revision": revision, "rows": rows}


def _count(connection: sa.Connection, table: str) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(sa.table(table))).scalar_one())


def magnitude(count: int) -> str:
    """Say how many about: a number of rows can be a number of patients."""
    return "0" if count == 0 else f"< {10 ** max(1, len(str(count)))}"


def _disk(folder: Path) -> dict[str, float]:
    usage = shutil.disk_usage(folder if folder.exists() else folder.parent)
    return {"total_gb": round(usage.total / 1e9, 1), "free_gb": round(usage.free / 1e9, 1)}


def _log_lines(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("*.jsonl")):
        with path.open(encoding="utf-8", errors="replace") as stream:
            newest = deque(stream, maxlen=LOG_LINES)
        for line in newest:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                yield json.dumps({key: entry[key] for key in sorted(LOG_FIELDS & entry.keys())})
