"""Measure a folder's dataset in a process of its own, so that a test can kill it: ``python -m … FOLDER PROCESSES``."""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
from pathlib import Path

from racoon.domain.dataset import DatasetManifest
from racoon.domain.plan import MeasuringPlan
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.measuring import service
from racoon.platform.database import Database


def open_images(folder: Path) -> Archive:
    """Open the archive of a folder."""
    return Archive(Database(f"sqlite:///{folder}/node.sqlite"), LocalFolder(folder / "objects"))


class Deadly(Archive):
    """An archive whose image of one series kills the process that loads it, as a lack of memory would."""

    series_uid = ""

    def load_volume(self, series_uid: str, **wanted):
        """Load an image, or die."""
        if series_uid == self.series_uid:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().load_volume(series_uid, **wanted)


def open_deadly_images(folder: Path, series_uid: str) -> Archive:
    """Open an archive with one deadly series."""
    archive = Deadly(Database(f"sqlite:///{folder}/node.sqlite"), LocalFolder(folder / "objects"))
    archive.series_uid = series_uid
    return archive


def main(folder: Path, count: int) -> None:
    """Run the plan in ``plan.json`` over the dataset in ``manifest.json``."""
    plan = MeasuringPlan.from_dict(json.loads((folder / "plan.json").read_text()))
    manifest = DatasetManifest.from_dict(json.loads((folder / "manifest.json").read_text()))
    processes = service.Processes(count, functools.partial(open_images, folder)) if count > 1 else None
    archive = open_images(folder)
    summary = service.run_protocol(plan, manifest, archive, archive.database, processes=processes)
    (folder / f"done-{os.getpid()}.json").write_text(json.dumps({"measured": summary.measured}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
