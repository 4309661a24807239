"""Looking at images and saying what is there: the reading room, its findings and structured reports.

``findings`` keeps marks with their places and numbers, ``reports`` the answers to report templates; a plain viewer
stands in where the room cannot run.  Addresses are stable: a number leads to the slice it came from.
For research use only; it is no diagnostic display.
Floor plan: a room of ``node``; asks ``archive.service`` and ``science``, renders through ``web``.
"""
