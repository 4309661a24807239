"""``racoon train``: one training plan on folders of this machine, local, pooled, federated, or all of them compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from racoon.cli.output import JsonFlag, print_facts, print_json, print_table, progress

Mode = Literal["local", "pooled", "federated", "compare"]


def train(
    plan: Path,
    /,
    *,
    data: Annotated[list[str], Parameter(name="--data")],
    mode: Mode = "federated",
    out: Path | None = None,
    key: Path | None = None,
    intended_use: str = "Research on the structures named by the labels.",
    licence: str = "not stated",
    json: JsonFlag = False,
) -> None:
    """Train a plan on folders of images with masks, or a table of labels; score on subjects that no site trained on.

    `local` trains each site alone, `pooled` all data together, `federated` starts real engine processes on this
    machine, `compare` does all three and adds the ensemble of the local models. A run that was cut off goes on.

    Parameters
    ----------
    plan
        Training plan (JSON).
    data
        A site and its folder as SITE=FOLDER; given once per site.
    mode
        How to train.
    out
        Folder for models, scores and logs; named after the plan's hash when not given.
    key
        File of the key that signs the packages; made in the folder when not given.
    intended_use
        What the model is for, for its card; research only in any case.
    licence
        Licence of the model, for its card.
    json
        Print one JSON document.
    """
    from racoon.cli.training_run import TrainingRun
    from racoon.learning.laboratory import read_plan

    document = read_plan(plan)
    folder = out or Path(f"training-{document.hash[:12]}")
    statements = {"intended_use": intended_use, "licence": licence}
    with progress(quiet=json) as bar:
        tasks: dict[str, Any] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        result = TrainingRun(document, _sites(data), folder, report).run(mode, statements, key)
    if json:
        print_json(result)
        return
    print_table(
        f"{document.name}: {result['verdict']['metric']} on subjects nobody trained on",
        [
            {name: "–" if value is None else value for name, value in row.items() if name != "measures"}
            for row in result["table"]
        ],
    )
    print_facts("models", {model["name"]: model["package"] for model in result["models"]})


def _sites(words: list[str]) -> dict[str, Path]:
    import re

    from racoon.learning.laboratory import BadTraining

    sites: dict[str, Path] = {}
    for word in words:
        name, mark, folder = word.partition("=")
        taken = {known.upper() for known in sites}
        if not mark or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,15}", name) or name.upper() in taken:
            raise BadTraining(
                f"{word[:60]!r} is no site; write SITE=FOLDER, each site once, up to 16 letters and digits."
            )
        sites[name] = Path(folder)
    return sites
