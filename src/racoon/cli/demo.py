"""``racoon demo``: a whole network on one machine, with the same commands a hospital runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cyclopts import App

from racoon.cli.output import JsonFlag, print_facts, print_json, print_line, print_table

app = App(
    name="demo", help="Run a whole network on this machine: hospitals and CENTRAL, from DICOM to result."
)

DEFAULT_FOLDER = Path("demo-data")
DEFAULT_SEED = 20260420


@app.default
def run(
    *,
    sites: int = 3,
    seed: int = DEFAULT_SEED,
    headless: bool = False,
    light: bool = False,
    data: Path | None = None,
    folder: Path = DEFAULT_FOLDER,
    json: JsonFlag = False,
) -> None:
    """Start CENTRAL and the hospitals, send images, run a study and show its result.

    Parameters
    ----------
    sites
        Number of hospitals, 1 to 38.
    seed
        Seed of the invented patients; the same seed makes the same country.
    headless
        Run the whole study, print a summary and stop.
    light
        Small images and no training: needs only the base installation.
    data
        Your own images instead of invented ones: a folder, or a manifest that says site, task and labels.
    folder
        Where the demo keeps everything it makes.
    json
        Print the summary as one JSON document.
    """
    from racoon.demo.scenario import run as run_demo

    summary = run_demo(
        {
            "sites": sites,
            "seed": seed,
            "headless": headless,
            "light": light,
            "data": data,
            "folder": folder,
            "json": json,
        }
    )
    if json:
        print_json(summary)
    elif headless:
        _print_summary(summary)


@app.command
def clean(*, folder: Path = DEFAULT_FOLDER, json: JsonFlag = False) -> None:
    """Stop a demo that still runs and remove everything it made.

    Parameters
    ----------
    folder
        The demo's folder.
    json
        Print one JSON document.
    """
    from racoon.demo.cleaning import clean as clean_demo

    facts = clean_demo(folder)
    if json:
        print_json(facts)
    else:
        print_line(f"[green]Removed[/] {folder}" if facts["removed"] else f"There was nothing at {folder}")


def _print_summary(summary: Mapping[str, Any]) -> None:
    """Print the facts, then one table for the measurements and one for the training."""
    tables = {"measuring", "training"}
    print_facts(
        "The study ended. Research use only.",
        {name: value for name, value in summary.items() if name not in tables},
    )
    measurements = summary.get("measuring") or []
    if measurements:
        print_table("Measurements, all sites together", measurements)
    if summary.get("training"):
        print_facts("Training, Dice on cases no site trained on", summary["training"])
