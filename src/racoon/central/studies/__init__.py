"""Research studies: definition, versions, states, artefacts, and each site's signed decisions.

Transitions follow ``domain.governance.study``; a site's track is only ever moved by the site's own signature.
Not here: counting and running (``cohorts``, ``analyses``) and what comes out (``results``).
"""
