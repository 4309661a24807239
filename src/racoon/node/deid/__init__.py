"""DICOM objects without identity: the rules of PS3.15 annex E as data, and the engine that applies them.

The confidentiality table says what happens to an element, an allow-list per SOP class is the last sieve, and
the
output is scanned for what is known of the patient.  What cannot be made safe goes to quarantine, never
through.
It decides nothing about who may see the result and opens no connection; pixels pass bit by bit.
Floor plan: a room of ``node``; it asks ``pseudonyms`` and hands instances to whoever called.
"""
