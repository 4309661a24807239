"""History of the node's database: one revision after another, the same on SQLite and PostgreSQL.

Revisions are written by ``python -m racoon.platform.migration node "what changed"`` and then read by a person.
A revision that was released never changes; what it did wrong the next one mends.
"""
