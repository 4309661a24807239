"""Start the process without network that runs a package; nothing here loads torch."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from racoon.learning.extra import require_extra
from racoon.learning.isolation import network_prefix
from racoon.learning.packages.card import PackageRefused
from racoon.learning.packages.container import ModelPackage
from racoon.learning.subprocesses import run_training_process

MODULE = "racoon.learning.infer_process"


def require_signer(package: ModelPackage, keys: Sequence[str]) -> None:
    """Refuse a package that none of these keys signed; no key given means anyone's signature will do.

    Raises
    ------
    PackageRefused
        ``package.signer``.
    """
    if keys and package.signer not in keys:
        raise PackageRefused("The package is not signed by a key you named.", code="package.signer")


def check_golden(path: Path, runtime: str = "auto") -> dict[str, Any]:
    """Run a package's golden example in its own process.

    Returns
    -------
    dict
        ``golden_difference`` of the class scores, the ``runtime`` that gave them, and how the process was kept from the
        network.

    Raises
    ------
    PackageRefused
        ``package.golden`` if this machine gets other numbers.
    """
    seen: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="racoon-golden-") as folder:
        arguments = ["golden", "--package", str(path), "--runtime", runtime]
        _run(arguments, Path(folder) / "log.txt", seen.update)
    return _facts(seen)


def run_package(
    path: Path,
    work: Sequence[dict[str, Any]],
    folder: Path,
    on_series: Callable[[dict[str, Any]], None],
    *,
    runtime: str = "auto",
) -> dict[str, Any]:
    """Run a package on some series in its own process.

    Parameters
    ----------
    path
        The package; checked again by the process before it runs.
    work
        One entry per series, as ``racoon.learning.infer_process`` reads it.
    folder
        For the list of work and the log.
    on_series
        Called with each series' outcome as soon as it is there.
    runtime
        ``auto``, ``onnx`` or ``torch``.

    Returns
    -------
    dict
        As :func:`check_golden`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    listing = folder / "work.json"
    listing.write_text(json.dumps(list(work)), encoding="utf-8")
    seen: dict[str, Any] = {}

    def on_event(event: dict[str, Any]) -> None:
        if event["event"] == "ready":
            seen.update(event)
        elif event["event"] == "series":
            on_series({name: value for name, value in event.items() if name != "event"})

    arguments = ["infer", "--package", str(path), "--work", str(listing), "--runtime", runtime]
    _run(arguments, folder / "log.txt", on_event)
    return _facts(seen)


def _facts(seen: dict[str, Any]) -> dict[str, Any]:
    return {
        "golden_difference": seen["golden_difference"],
        "runtime": seen["runtime"],
        "isolation": isolation_of(seen["interfaces"]),
    }


def isolation_of(interfaces: Sequence[str]) -> str:
    """Say which lock kept the process from the network."""
    return "sockets refused" if interfaces else "no network interface, sockets refused"


def _run(arguments: Sequence[str], log: Path, on_event: Callable[[dict[str, Any]], None]) -> None:
    require_extra("safetensors")
    try:
        run_training_process(arguments, log, on_event, module=MODULE, prefix=network_prefix())
    except Exception as error:
        code = getattr(error, "error_code", "")
        if code.startswith("package.") and not isinstance(error, PackageRefused):
            raise PackageRefused(str(error), code=code) from error
        raise
