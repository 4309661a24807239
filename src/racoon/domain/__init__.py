"""Our words: study, cohort, plan, dataset, approval, role; frozen dataclasses and the rules between them.

Pure: no I/O, no database, no web, nothing that could hold a patient header.
Node and CENTRAL both speak these words; the messages that carry them across the wall live in ``protocol``.
It stands just above ``errors`` in the floor plan, so that everything may import it and it imports nobody.
Arithmetic on images and tables is not here but in ``science``.
"""
