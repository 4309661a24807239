"""The one place that knows who is who: pseudonyms, replaced UIDs and date shifts of patients.

Everything is derived by keyed hash from the node's master key, so nothing has to be looked up to stay
consistent;
the way back is a table in its own database file, encrypted at rest.  No other room opens this door but
``deid``,
``clinical``, ``consent`` and the composition root.
Floor plan: a room of ``node``; it keeps no images and speaks to nobody.
"""
