"""Issue F, governance: approvals that machines enforce, at each site for itself."""

from __future__ import annotations

from tools.acceptance import Step

TITLE = "from concept to study: approvals that machines enforce"

GOVERNANCE = "tests/contract/central/test_governance.py"

STEPS = [
    Step(
        "state-tables",
        "only listed transitions exist; each role, artefact, guard and second person is asked for",
        tests=("tests/unit/domain/test_governance.py", "tests/contract/central/test_studies.py"),
    ),
    Step(
        "rule-based-machine",
        "CENTRAL and sites under random people, days and forgeries: no run without all valid approvals at that site, "
        "no site state without the site's signature, expiry stops runs",
        tests=("tests/contract/central/test_governance_machine.py",),
        times=5,
    ),
    Step(
        "technical-gate",
        "every purpose needs every signed, unexpired decision on this version and dataset",
        tests=("tests/unit/node/approvals/test_gate.py", "tests/unit/node/archive/test_access.py"),
    ),
    Step(
        "blocked-at-one-site",
        "an expired vote, a missing committee decision, a forged message of CENTRAL and a stop each block that site "
        "only, with the reason on both sides",
        tests=(GOVERNANCE,),
    ),
    Step(
        "application",
        "three study kits, saved as typed, checked in words, kept on paper and as JSON",
        tests=("tests/contract/central/test_application.py",),
    ),
    Step(
        "permissions",
        "role x scope x state, exhaustively; every route with every role: what is not listed is refused",
        tests=("tests/unit/domain/test_permission.py", "tests/contract/central/test_permissions.py"),
    ),
]
