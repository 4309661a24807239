"""State tables of the study and of each site's track: data one can read, functions without I/O.

Only the listed transitions exist.  Each names who may take it, what must be attached and what must hold before.
Stores write state, event and audit entry in one transaction; these tables never do.
The states follow the published ones of the national proposal portal and add radiology's own.
What a site allows is decided by its own track; CENTRAL can never set a site further than ``requested``.
"""
