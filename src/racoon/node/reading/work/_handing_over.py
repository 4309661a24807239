"""Gives an unfinished case to another reader, with what was begun."""

from __future__ import annotations

import sqlalchemy as sa

from racoon.node.reading.drawing import service as drawings
from racoon.node.reading.findings import service as findings
from racoon.node.reading.reports import handing_over as reports
from racoon.node.reading.work import _store
from racoon.node.reading.work.model import CannotHandOver, NoSuchTask, ReadingTask
from racoon.platform.auth.people import is_same_person


def hand_over(
    connection: sa.Connection, list_name: str, imaging_study_uid: str, reader: str, to: str
) -> dict[str, int]:
    """Move a task, the draft of its report, its drawings and its marks; returns how many of each.

    Raises
    ------
    NoSuchTask
    CannotHandOver
        If the case is read, or the other person has to do with it already.
    """
    everything = _store.load(connection, imaging_study_uid=imaging_study_uid)
    case = [task for task in everything if task.list_name == list_name]
    task = next((task for task in case if task.reader == reader), None)
    if task is None:
        raise NoSuchTask("This person has no such task.")
    if task.done_at is not None:
        raise CannotHandOver("The case is read already. Only an unfinished case is handed over.")
    others = [other.reader for other in case if other.reader != reader]
    if to == reader or any(is_same_person("node", connection, other, to) for other in others):
        raise CannotHandOver("This person reads or decides the same case already.")
    _store.give(connection, task, to)
    if _is_needed_elsewhere(everything, task):
        return {"tasks": 1, "reports": 0, "drawings": 0, "findings": 0}
    return {
        "tasks": 1,
        "reports": reports.hand_over(connection, imaging_study_uid, task.template_url, reader, to),
        "drawings": drawings.hand_over(connection, imaging_study_uid, reader, to),
        "findings": findings.hand_over(connection, imaging_study_uid, reader, to),
    }


def _is_needed_elsewhere(everything: list[ReadingTask], task: ReadingTask) -> bool:
    """Tell whether the same person reads the same images for another list: then the work stays there."""
    return any(other.reader == task.reader and other.list_name != task.list_name for other in everything)
