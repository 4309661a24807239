"""Reading protocols of this site: every version that was saved, and which series of a dataset one asks for.

A version is never changed; lists name the version they were made from.  Not here: what a protocol may say
(``domain.reading_protocol``), and the tasks of a list (``work``).
Floor plan: a part of ``node.reading``; asks ``archive.service``.
"""
