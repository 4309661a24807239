"""How long a cohort count takes on large fact tables, with consent asked for every subject.

Run ``python bench/bench_cohort.py --patients 100000``; the goals of the issue are for one million patients with five
diagnoses and three series each: at most 2 s in the median on SQLite.  PostgreSQL by ``--database URL`` (emptied first).
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from racoon.domain.clinical_criterion import ICD, ClinicalCriterion
from racoon.domain.cohort import AgeCriterion, CohortDefinition, GenderCriterion, ImagingCriterion, Near
from racoon.domain.consent import ARCHIVE
from racoon.node.cohorts import service
from racoon.node.cohorts._store import clinical_fact, series_fact
from racoon.node.consent.model import basis_of
from racoon.node.consent.service import Consent
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database, create_all

GOAL_S = 2.0
CHUNK = 50_000

LIVER_CANCER = ClinicalCriterion("condition", ((ICD, "C22"),))
QUESTIONS = {
    "modality": CohortDefinition(((ImagingCriterion(modality="MR"),),)),
    "diagnosis": CohortDefinition(((LIVER_CANCER,),)),
    "series": CohortDefinition(
        ((ImagingCriterion(modality="CT", body_part="CHEST", max_slice_thickness_mm=1.5),),)
    ),
    "near": CohortDefinition(((ImagingCriterion(modality="CT", near=Near(LIVER_CANCER, 14, 14)),),)),
    "all": CohortDefinition(
        (
            (ImagingCriterion(modality="CT", body_part="CHEST"),),
            (LIVER_CANCER, ClinicalCriterion("condition", ((ICD, "C34"),))),
            (GenderCriterion(("female",)),),
            (AgeCriterion("ge", 50.0),),
        ),
        ((ImagingCriterion(modality="MR"),),),
    ),
}


def fill(database: Database, patients: int, diagnoses: int, series: int, seed: int = 1) -> None:
    """Write synthetic facts."""
    source = random.Random(seed)
    codes = [
        f"{letter}{number:02d}.{digit}" for letter in "CEIJKM" for number in range(60) for digit in "019"
    ]
    with database.begin() as connection:
        rows: list[dict[str, Any]] = []
        for table, each in ((clinical_fact, diagnoses), (series_fact, series)):
            for patient in range(patients):
                for number in range(each):
                    key, day = f"{patient}.{number}", 738_000 + source.randrange(2000)
                    rows.append(
                        {
                            "key": key,
                            "number": 0,
                            "resource_key": key,
                            "pseudonym": f"P{patient}",
                            "kind": "condition",
                            "system": ICD,
                            "code": (code := source.choice(codes)),
                            "category": code.partition(".")[0],
                            "day_number": day,
                            "value_number": None,
                            "value_unit": "",
                        }
                        if table is clinical_fact
                        else {
                            "series_uid": key,
                            "imaging_study_uid": key,
                            "pseudonym": f"P{patient}",
                            "modality": source.choices(["CT", "MR", "DX"], [5, 2, 9])[0],
                            "body_part": source.choice(["CHEST", "ABDOMEN", "HEAD", ""]),
                            "gender": source.choice(["female", "male"]),
                            "age_years": float(source.randrange(18, 95)),
                            "slice_thickness_mm": source.choice([0.6, 1.0, 2.0, 5.0]),
                            "instance_count": 1,
                            "study_date": "",
                            "day_number": day,
                        }
                    )
                    if len(rows) >= CHUNK:
                        connection.execute(sa.insert(table), rows)
                        rows = []
            if rows:
                connection.execute(sa.insert(table), rows)
                rows = []
    with database.begin() as connection:
        connection.execute(sa.text("ANALYZE"))


def measure(database: Database, repeats: int) -> dict[str, dict[str, float]]:
    """Time every question."""
    consent = Consent(database, AuditLog("node"))
    words = {"kind": "synthetic", "document": "bench", "scope": "all", "approved_by": "bench"}
    with database.begin() as connection:
        consent.record_basis(
            connection, basis_of({"study_id": ARCHIVE, **words}), actor="bench", actor_role="bench"
        )
    found = {}
    for name, question in QUESTIONS.items():
        times, count = [], 0
        for _ in range(repeats):
            begun = time.perf_counter()
            with database.connect() as connection:
                count = service.count_subjects(connection, question, consent.condition)
            times.append(time.perf_counter() - begun)
        found[name] = {"subjects": count, "median_s": round(statistics.median(times), 3)}
    return found


def main() -> int:
    """Run the bench; code 1 when a goal is missed at full size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=25_000)
    parser.add_argument("--diagnoses", type=int, default=5)
    parser.add_argument("--series", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--database", default="")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = Database(options.database or f"sqlite:///{Path(folder) / 'bench.sqlite'}")
        create_all(database, "node")
        begun = time.perf_counter()
        fill(database, options.patients, options.diagnoses, options.series)
        filled_s = time.perf_counter() - begun
        found = measure(database, options.repeats)
        dialect = database.dialect
        database.dispose()
    met = all(row["median_s"] <= GOAL_S for row in found.values())
    if options.json:
        print(json.dumps({"patients": options.patients, "dialect": dialect, "questions": found, "met": met}))
    else:
        print(f"{options.patients} patients on {dialect}, filled in {filled_s:.0f} s")
        for name, row in found.items():
            print(f"  {name:10} {row['subjects']:8.0f} subjects   median {row['median_s']:.3f} s")
        print(f"goal {GOAL_S} s: {'met' if met else 'missed'}")
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
