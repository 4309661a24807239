"""The history of CENTRAL's database, one revision per change of a table.

Runs on SQLite and PostgreSQL alike; only the supervisor applies it, before it starts its processes.
"""
