"""Who reads what: tasks of reading lists, blinding of double readings, agreement of two readers.

A list is a set of series for some readers; each gets them in an own random order.  While a blinded double reading
is open, its readers are shown nothing of each other by any route of this room.
Floor plan: a part of ``node.reading``; asks ``archive.service`` and ``science.statistics``.
"""
