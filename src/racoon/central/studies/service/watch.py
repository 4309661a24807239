"""What the clock does at CENTRAL: a study whose vote or contract has ended is held, a site that waits is reminded."""

from __future__ import annotations

import sqlalchemy as sa

from racoon.central.studies import _store
from racoon.central.studies.model import ended
from racoon.central.studies.service.studies import STOPPING_STATES, Studies
from racoon.domain.governance.amendment import OPEN_AMENDMENT_STATES
from racoon.domain.governance.reminding import is_reminder_due
from racoon.domain.governance.study import LIVE_STATES
from racoon.platform import clock


class Watch:
    """The clock's work on studies.

    Parameters
    ----------
    studies
        CENTRAL's own.
    """

    def __init__(self, studies: Studies) -> None:
        self._studies = studies

    def hold_ended(self, connection: sa.Connection) -> list[str]:
        """Hold every live study whose lead vote or contract has ended; returns their ids."""
        held = []
        for study in self._studies.studies(connection):
            if study.state not in LIVE_STATES:
                continue
            reason = ended(self._studies.earlier_artefacts(connection, study.study_id), clock.now())
            if reason is not None:
                self._studies.hold_by_clock(connection, study, reason)
                held.append(study.study_id)
        return held

    def remind_waiting(self, connection: sa.Connection) -> int:
        """Remind each site whose decision has waited too long; returns how many."""
        count = 0
        for study in self._studies.studies(connection):
            if study.state in STOPPING_STATES:
                continue
            tracks = self._studies.tracks(connection, study.study_id)
            for change in _store.load_amendments(connection, study.study_id):
                if change.state in OPEN_AMENDMENT_STATES:
                    tracks += self._studies.tracks_of(connection, study.study_id, change.hash)
            for track in tracks:
                if is_reminder_due(track.state, track.since, track.reminded_at, clock.now()):
                    self._studies.site_tracks.remind(connection, track, study.study_id, "clock", "system")
                    count += 1
        return count
