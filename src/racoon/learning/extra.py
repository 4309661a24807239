"""Say plainly what is missing when the extra ``learning`` is not installed."""

from __future__ import annotations

import importlib.util

from racoon.errors import Refused

MODULES = {
    "torch": "torch",
    "nvflare": "nvflare",
    "safetensors": "safetensors",
    "onnx": "onnx",
    "opacus": "opacus",
}
"""Modules of the extra and the distribution each comes from."""


class ExtraMissing(Refused):
    """The extra ``learning`` is not installed here."""

    code = "learning.extra_missing"


def require_extra(*modules: str) -> None:
    """Refuse with the command that helps when a module of the extra is absent.

    Parameters
    ----------
    modules
        Names from :data:`MODULES`; all of them when none is given.

    Raises
    ------
    ExtraMissing
        Naming ``pip install "racoon[learning]"``.
    """
    missing = [name for name in modules or MODULES if importlib.util.find_spec(name) is None]
    if missing:
        raise ExtraMissing(
            'Training needs an extra that is not installed here: pip install "racoon[learning]".',
            details={"missing": missing},
        )
