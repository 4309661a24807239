"""The right Python, and which extras are installed."""

from __future__ import annotations

import importlib.util
import platform
import sys
from dataclasses import dataclass
from typing import Final

from racoon.platform.diagnosis.finding import Finding

OLDEST_PYTHON: Final = (3, 11)

EXTRAS: Final[dict[str, tuple[str, ...]]] = {
    "learning": ("torch", "monai", "nvflare", "safetensors"),
    "radiomics": ("pywt", "SimpleITK"),
    "ocr": ("pytesseract",),
    "parquet": ("pyarrow",),
    "postgres": ("psycopg",),
    "s3": ("obstore",),
    "oidc": ("authlib",),
}
"""Modules that each extra of the distribution brings."""


@dataclass(frozen=True)
class ExtraState:
    """Whether an extra is there, and what is missing of it."""

    present: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether every module of the extra can be imported."""
        return not self.missing


def extras_present() -> dict[str, ExtraState]:
    """Look for the modules of each extra without importing them."""
    states = {}
    for extra, modules in EXTRAS.items():
        found = tuple(name for name in modules if importlib.util.find_spec(name) is not None)
        states[extra] = ExtraState(found, tuple(name for name in modules if name not in found))
    return states


def check_python() -> Finding:
    """Compare the running Python with the oldest one supported."""
    running = platform.python_version()
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Finding("python", "problem", f"Python {running} is too old.", "Install Python 3.11 or newer.")
    return Finding("python", "ok", f"Python {running}")


def check_extras(required: frozenset[str] = frozenset()) -> list[Finding]:
    """Report each extra; a missing one is a problem only where the configuration needs it.

    Parameters
    ----------
    required
        Names of the extras that the configuration makes use of.
    """
    findings = []
    for extra, state in extras_present().items():
        name = f"extra {extra}"
        install = f"Install it with: pip install 'racoon[{extra}]'"
        if state.is_complete:
            findings.append(Finding(name, "ok", "installed"))
        elif extra in required:
            message = f"needed by this configuration, but {', '.join(state.missing)} is missing"
            findings.append(Finding(name, "problem", message, install))
        elif state.present:
            message = f"half installed: {', '.join(state.missing)} is missing"
            findings.append(Finding(name, "warning", message, install))
        else:
            findings.append(Finding(name, "skipped", "not installed, not needed by this configuration"))
    return findings
