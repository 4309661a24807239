"""Automatic values as proposed answers: a reader accepts, changes or rejects each, and its level of automation stays.

Which measured value proposes which answer is part of a reading protocol.  Nothing proposed is an answer before a
person says so.  Not here: measuring (``node.measuring``), masks as proposals (``drawing``).
Floor plan: a part of ``node.reading``; asks ``measuring.service`` and ``archive.service``.
"""
