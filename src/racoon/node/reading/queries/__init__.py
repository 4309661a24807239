"""Queries: questions of an edit check or a monitor at a field of a report, answered by its reader; audited.

What an edit check asks opens and closes with the answers; a monitor closes what a monitor asked.  A report with an
open question of an edit check is not signed.  Not here: the checks themselves (``domain.questionnaire``).
Floor plan: a part of ``node.reading``; asks ``archive.service``, ``reports`` and ``work``.
"""
