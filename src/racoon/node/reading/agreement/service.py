"""What one may ask of agreement: the state of a list now, and the picture of a disagreement between two masks."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence

from racoon.domain.questionnaire import Answer, Template
from racoon.node.archive.service import Archive
from racoon.node.reading.adjudication.model import MaskAgreement
from racoon.node.reading.adjudication.service import Adjudication
from racoon.node.reading.agreement._picture import draw_masks
from racoon.node.reading.agreement._sums import labels_of, readers_of
from racoon.node.reading.agreement.model import ComparedCase, Disagreement, ListAgreement
from racoon.node.reading.comparing.items import compare, compare_all, first_answers, values_of
from racoon.node.reading.comparing.model import ItemAgreement
from racoon.node.reading.findings.service import Findings
from racoon.node.reading.reports.catalogue import newest_template
from racoon.node.reading.reports.published import signed_answers
from racoon.node.reading.work.model import READ, NoSuchList, ReadingTask, StillBlinded
from racoon.node.reading.work.service import Work
from racoon.platform.auth import User
from racoon.platform.database import Database

MOST_COMPARED = 6
"""Pairs of segmentations compared in one request, so that a page of a long list comes at once; asking again goes on."""

MOST_SHOWN = 12
"""Worst disagreements that are shown."""

MaskRow = tuple[ReadingTask, tuple[str, str], MaskAgreement]
"""A task of the case, both names, how their masks of a label agree."""


class NoSuchPicture(NoSuchList):
    """No two masks of this list are those."""

    code = "reading.no_such_picture"


class ListAgreements:
    """Agreement over reading lists.

    Parameters
    ----------
    database
        Where signed readings are kept.
    archive, findings
        What they are about.
    work, adjudication
        The lists, and the comparisons of masks.
    """

    def __init__(
        self, database: Database, archive: Archive, findings: Findings, work: Work, adjudication: Adjudication
    ) -> None:
        self._database = database
        self._archive = archive
        self._findings = findings
        self._work = work
        self._adjudication = adjudication

    def require_open_eyes(self, user: User, list_name: str, *, plans: bool) -> list[ReadingTask]:
        """Return a list's tasks to somebody who may know how its readers agree.

        Parameters
        ----------
        plans
            Whether the person runs reading lists; else only the list's own readers may ask, when all is read.

        Raises
        ------
        NoSuchList
        StillBlinded
            To whoever reads or decides in a blinded list, until the whole list is read: also what others said on
            cases that are done tells how to read the next.
        """
        tasks = self._work.tasks(list_name)
        takes_part = any(task.reader == user.name for task in tasks)
        if not plans and not takes_part:
            raise NoSuchList("There is no such reading list.")
        is_open = any(task.done_at is None for task in tasks if task.duty == READ)
        if takes_part and is_open and (not plans or any(task.is_blinded for task in tasks)):
            raise StillBlinded(
                "You read in this list. Agreement is shown to you when the whole list is read."
            )
        return tasks

    def items(self, list_name: str) -> list[ItemAgreement]:
        """Compare each pair of readers, question by question, on the cases that all readers are done with.

        Raises
        ------
        NoSuchList
        StillBlinded
            If no case is done by everyone.
        """
        complete = _complete(self._work.tasks(list_name))
        if not complete:
            raise StillBlinded("No case is read by all readers yet.")
        template, answers = self._signed(complete)
        return _by_pairs(template, answers, complete)

    def of_list(self, user: User, list_name: str, *, plans: bool) -> ListAgreement:
        """Return the state of a list.

        Raises
        ------
        NoSuchList, StillBlinded
            As :meth:`require_open_eyes`; a list in which nothing is read yet has empty tables.
        """
        tasks = self.require_open_eyes(user, list_name, plans=plans)
        readings = [task for task in tasks if task.duty == READ]
        complete = _complete(tasks)
        state = ListAgreement(
            list_name,
            cases=len({task.imaging_study_uid for task in readings}),
            complete=len(complete),
            readings=len(readings),
            readings_done=sum(task.done_at is not None for task in readings),
        )
        template, answers = self._signed(complete) if complete else (None, {})
        items = _by_pairs(template, answers, complete) if template else []
        people = sorted({task.reader for task in readings})
        same = {tuple(sorted(task.reader for task in rows)) for rows in complete.values()}
        together: list[ItemAgreement] = []
        if template and len(people) > 2 and same == {tuple(people)}:
            values = {key: values_of(found) for key, found in answers.items()}
            together = compare_all(template, people, values, sorted(complete))
        masks, waiting = self._masks(complete)
        return ListAgreement(
            list_name,
            state.cases,
            state.complete,
            state.readings,
            state.readings_done,
            tuple(items),
            tuple(together),
            readers_of(readings, items, [(pair, mask) for _, pair, mask in masks]),
            labels_of([(pair, mask) for _, pair, mask in masks]),
            self._worst(complete, items, answers, masks),
            waiting,
        )

    def picture(
        self, user: User, list_name: str, segments: tuple[str, str], *, plans: bool
    ) -> tuple[bytes, str]:
        """Draw the slice on which two masks differ most, with the rims of both.

        Returns
        -------
        tuple
            PNG, and the imaging study it shows.

        Raises
        ------
        NoSuchList, StillBlinded
        NoSuchPicture
            If no two readers of the list drew these masks on the same case.
        """
        complete = _complete(self.require_open_eyes(user, list_name, plans=plans))
        masks, _ = self._masks(complete, at_most=0)
        found = next((row for row in masks if row[2].segments == segments and row[2].instance_uid), None)
        if found is None:
            raise NoSuchPicture("There is no such picture.")
        return draw_masks(self._archive, found[2]), found[0].imaging_study_uid

    def cases(
        self, user: User, list_name: str, *, link_id: str = "", label: str = "", plans: bool
    ) -> list[ComparedCase]:
        """List the cases that the numbers of one question, or of the masks of one label, are made of.

        Parameters
        ----------
        link_id, label
            Question, or key of a label; without either every case that all its readers are done with.

        Raises
        ------
        NoSuchList, StillBlinded
        """
        complete = _complete(self.require_open_eyes(user, list_name, plans=plans))
        if label:
            return [
                _case_of_mask(*row) for row in self._masks(complete, at_most=0)[0] if row[2].label == label
            ]
        _, answers = self._signed(complete) if complete else (None, {})
        found = []
        for uid, tasks in sorted(complete.items()):
            given = {task.reader: answers.get((task.reader, uid), {}).get(link_id) for task in tasks}
            found.append(
                ComparedCase(
                    uid,
                    tasks[0].series_uid,
                    str(tasks[0].pseudonym),
                    given,
                    {reader: answer.finding_id for reader, answer in given.items() if answer},
                )
            )
        return found

    # -- inside

    def _signed(
        self, complete: Mapping[str, Sequence[ReadingTask]]
    ) -> tuple[Template, dict[tuple[str, str], Mapping[str, Answer]]]:
        url = next(iter(complete.values()))[0].template_url
        with self._database.connect() as connection:
            template = newest_template(url, connection)
            found = signed_answers(connection, template.url, sorted(complete))
        return template, {(reader, uid): first_answers(items) for reader, uid, items in found}

    def _masks(
        self, complete: Mapping[str, Sequence[ReadingTask]], at_most: int = MOST_COMPARED
    ) -> tuple[list[MaskRow], int]:
        found: list[MaskRow] = []
        waiting = 0
        for _, tasks in sorted(complete.items()):
            pairs = self._adjudication.mask_pairs(tasks, at_most)
            at_most -= pairs.made
            waiting += pairs.waiting
            found += [(tasks[0], pair, mask) for pair, mask in pairs.found]
        return found, waiting

    def _worst(
        self,
        complete: Mapping[str, Sequence[ReadingTask]],
        items: Sequence[ItemAgreement],
        answers: Mapping[tuple[str, str], Mapping[str, Answer]],
        masks: Sequence[MaskRow],
    ) -> tuple[Disagreement, ...]:
        found = [_of_mask(*row) for row in masks if row[2].dice < 1]
        for item in items:
            for difference in item.differences[:3]:
                task = complete[difference.imaging_study_uid][0]
                pair = (item.readers[0], item.readers[1])
                sources = (answers[name, task.imaging_study_uid][item.link_id].finding_id for name in pair)
                found.append(
                    Disagreement(
                        "answer",
                        task.imaging_study_uid,
                        task.series_uid,
                        str(task.pseudonym),
                        ((pair[0], difference.first), (pair[1], difference.second)),
                        difference.distance / item.differences[0].distance,
                        link_id=item.link_id,
                        words=item.words,
                        finding_id=next((source for source in sources if source), ""),
                    )
                )
        # Taken in turns, so that one bad question does not hide a bad mask.
        turns: dict[tuple[str, str], list[Disagreement]] = defaultdict(list)
        for item_ in sorted(found, key=lambda each: (-each.weight, each.imaging_study_uid)):
            turns[item_.kind, item_.link_id or item_.meaning].append(item_)
        mixed = [one for row in itertools.zip_longest(*turns.values()) for one in row if one is not None]
        return tuple(self._placed(one) for one in mixed[:MOST_SHOWN])

    def _placed(self, found: Disagreement) -> Disagreement:
        """Take a disagreement to the slice of the finding that an answer came from."""
        if not found.finding_id:
            return found
        return found.at(self._findings.get(found.finding_id).finding.place)


def _complete(tasks: Sequence[ReadingTask]) -> dict[str, list[ReadingTask]]:
    """Return the readings of the cases that every reader is done with."""
    by_case: dict[str, list[ReadingTask]] = defaultdict(list)
    for task in tasks:
        if task.duty == READ:
            by_case[task.imaging_study_uid].append(task)
    return {uid: rows for uid, rows in by_case.items() if all(task.done_at for task in rows)}


def _by_pairs(
    template: Template,
    answers: Mapping[tuple[str, str], Mapping[str, Answer]],
    complete: Mapping[str, Sequence[ReadingTask]],
) -> list[ItemAgreement]:
    values = {key: values_of(found) for key, found in answers.items()}
    readers = sorted({task.reader for rows in complete.values() for task in rows})
    read_by = {uid: {task.reader for task in rows} for uid, rows in complete.items()}
    return [
        agreed
        for pair in itertools.combinations(readers, 2)
        for agreed in compare(
            template, pair, values, sorted(uid for uid, people in read_by.items() if people.issuperset(pair))
        )
    ]


def _case_of_mask(task: ReadingTask, pair: tuple[str, str], mask: MaskAgreement) -> ComparedCase:
    return ComparedCase(
        task.imaging_study_uid,
        mask.series_uid,
        str(task.pseudonym),
        dict(zip(pair, mask.volumes_ml, strict=True)),
        meaning=mask.meaning,
        dice=mask.dice,
        hd95_mm=mask.hd95_mm,
        instance_uid=mask.instance_uid,
        frame=mask.frame,
        segments=mask.segments,
    )


def _of_mask(task: ReadingTask, pair: tuple[str, str], mask: MaskAgreement) -> Disagreement:
    return Disagreement(
        "mask",
        task.imaging_study_uid,
        mask.series_uid,
        str(task.pseudonym),
        ((pair[0], mask.volumes_ml[0]), (pair[1], mask.volumes_ml[1])),
        1 - mask.dice,
        meaning=mask.meaning,
        dice=mask.dice,
        hd95_mm=mask.hd95_mm,
        segments=mask.segments,
        instance_uid=mask.instance_uid,
        frame=mask.frame,
    )
