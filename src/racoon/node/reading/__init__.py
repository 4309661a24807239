"""Looking at images: a plain viewer page that shows a series, its geometry and its masks.

It shows what the archive holds and writes nothing; measurements and reports will live here later.
Its addresses are stable: a number in a result leads to the series and slice it came from.
For research use only; it is no diagnostic display.
Floor plan: a room of ``node``; asks ``archive.service``, renders through ``web``.
"""
