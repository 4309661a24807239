"""Plumbing without radiology: database, jobs, HTTP, accounts, audit, settings, processes.

Every role stands on it; it knows neither images nor patients nor studies. Contexts register tables, routes,
job handlers and health checks here and never the other way round. It is not a place for shared odds and ends:
what has a medical or a research meaning belongs to ``domain``.
"""
