"""Issue F: approvals that machines enforce, consent that reaches every copy, counts that give nobody away."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from racoon.node.release.policy import DisclosurePolicy
from tests.count_attacks import Outcome, attack
from tools.acceptance import ROOT, Figures, Step

TITLE = "from concept to study: approvals that machines enforce, consent, protected counts"

GOVERNANCE = "tests/contract/central/test_governance.py"

PATIENTS = 1_000_000
CHUNKS, TRIALS = 50, 20
OFTEN_RIGHT = 0.70


def cohort_speed(folder: Path) -> Figures:
    """Count cohorts among a million patients, five million diagnoses and three million series."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, ROOT / "bench" / "bench_cohort.py", "--patients", str(PATIENTS), "--json"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    (folder / "cohort.json").write_text(done.stdout, encoding="utf-8")
    found = json.loads(done.stdout)
    figures: Figures = {f"{name}, median s": row["median_s"] for name, row in found["questions"].items()}
    assert found["met"], figures
    return figures


def attacks(folder: Path) -> Figures:
    """A thousand attacks with a week's budget, while somebody carelessly lifts every hold; 95 % interval (Wilson)."""
    patient = replace(DisclosurePolicy(), counts_per_minute=1000)
    found = Outcome(0, 0, 0, 0)
    for chunk in range(CHUNKS):
        place = folder / f"chunk-{chunk}"
        place.mkdir(parents=True, exist_ok=True)
        more = attack(place, patient, trials=TRIALS, pairs=30, careless=True, seed=chunk)
        found = Outcome(
            found.right + more.right,
            found.trials + more.trials,
            max(found.queries, more.queries),
            found.held + more.held,
        )
    low, high = found.interval
    figures: Figures = {
        "attacker right": f"{found.rate:.3f} [{low:.3f}, {high:.3f}] of {found.trials}",
        "hold raised in": f"{found.held} of {found.trials}",
    }
    assert found.rate <= OFTEN_RIGHT, figures
    assert found.held == found.trials, figures
    return figures


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
        tests=(
            "tests/unit/domain/test_permission.py",
            "tests/unit/node/test_permissions.py",
            "tests/contract/central/test_permissions.py",
        ),
    ),
    Step(
        "consent",
        "per item and date, denied by default; legal bases of the site; what is not confirmed in time is denied",
        tests=("tests/unit/node/consent/test_permission.py", "tests/unit/domain/test_consent.py"),
    ),
    Step(
        "withdrawal",
        "no read path returns the subject after the commit; tombstones until acknowledged; nothing left in any store",
        tests=("tests/unit/node/consent/test_read_paths.py", "tests/unit/node/consent/test_withdrawal.py"),
    ),
    Step(
        "cohorts",
        "compiled to SQL, equal to a naive evaluator; the same question in another order has the same hash",
        tests=("tests/contract/test_cohort_sql.py", "tests/unit/node/cohorts"),
    ),
    Step(
        "cohort-page",
        "built in the browser without JSON; every definition survives the form; saved and counted from one page",
        tests=("tests/unit/central/cohorts/test_writing.py", "tests/contract/central/test_cohort_page.py"),
    ),
    Step("cohort-speed", "a million patients within two seconds on SQLite", action=cohort_speed),
    Step(
        "count-budgets",
        "stored answers, budgets, near repetitions wait for a person",
        tests=("tests/unit/node/release/test_budget.py",),
    ),
    Step("attacks", "with a week's ledger the attacker is right at most 0.70 of the time", action=attacks),
]
