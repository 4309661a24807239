"""Write an invented cohort: subjects of several hospitals with planted effects, one row each.

Hazard ratios of death: effusion 2.2, loss of pectoralis muscle 3.0; odds ratio of ventilation per 100 units of calcium:
1.1.  Run ``python cohort.py --output cohort.csv``.
"""

from __future__ import annotations

import argparse
import csv
import math
from pathlib import Path

import numpy as np

HEADER = (
    "site", "subject", "age", "sex", "effusion_ml", "muscle_loss", "calcium_100", "days", "died", "ventilated",
)  # fmt: skip


def write_cohort(path: Path, rows: int = 1500, sites: int = 5, seed: int = 7) -> None:
    """Write the table."""
    random = np.random.default_rng(seed)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(HEADER)
        for number in range(rows):
            age, male = random.normal(62, 12), random.integers(0, 2)
            effusion = random.exponential(150) * (random.random() < 0.6)
            muscle, calcium = random.random() < 0.3, random.gamma(1, 4)
            risk = math.log(2.2) * (effusion >= 100) + math.log(3.0) * muscle + 0.02 * (age - 62)
            time, censoring = random.exponential(250 / math.exp(risk)), random.uniform(5, 180)
            odds = math.exp(-1.5 + math.log(1.1) * calcium + 0.01 * (age - 62))
            writer.writerow([
                f"site-{number % sites}", number, f"{age:.1f}", ("female", "male")[male], f"{effusion:.0f}",
                int(muscle), f"{calcium:.2f}", f"{min(time, censoring):.2f}", int(time <= censoring),
                int(random.random() < odds / (1 + odds)),
            ])  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1500)
    parser.add_argument("--sites", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("cohort.csv"))
    chosen = parser.parse_args()
    write_cohort(chosen.output, chosen.rows, chosen.sites)
