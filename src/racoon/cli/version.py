"""``racoon version``: what is installed, for a bug report."""

from __future__ import annotations

from racoon import __version__
from racoon.cli.output import JsonFlag, print_facts, print_json


def version(*, json: JsonFlag = False) -> None:
    """Print the versions of the product, Python and the parts it stands on.

    Parameters
    ----------
    json
        Print one JSON document.
    """
    import platform

    from racoon.platform.diagnosis.installation import extras_present

    facts: dict[str, object] = {
        "racoon": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "extras": {name: state.is_complete for name, state in extras_present().items()},
    }
    if json:
        print_json(facts)
        return
    installed = [name for name, present in dict(facts.pop("extras")).items() if present]  # type: ignore[call-overload]  # a table of words and flags
    print_facts("RACOON", {**facts, "extras": ", ".join(installed) or "none"})
