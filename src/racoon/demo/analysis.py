"""The demo's study: what is measured and what a network learns, for invented and for real images."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from racoon.demo.country import Country
from racoon.demo.hospitals import HOLDOUT, POOL
from racoon.demo.labels import LABELS
from racoon.domain.analysis import AnalysisPlan, parse_plan
from racoon.domain.analysis.columns import columns_of
from racoon.domain.coding import Code
from racoon.domain.cohort import CohortDefinition, ImagingCriterion
from racoon.domain.plan import Bins, Measurement, MeasuringPlan, TrainingPlan
from racoon.domain.study import StudyDefinition
from racoon.science.biomarkers.catalogue import unit_of

ORGAN_VOLUME_BINS = {
    "right_lung": Bins(0, 4800, 200),
    "left_lung": Bins(0, 4800, 200),
    "heart": Bins(0, 1200, 50),
    "aorta": Bins(0, 480, 20),
    "liver": Bins(0, 2880, 120),
    "spleen": Bins(0, 480, 20),
    "right_kidney": Bins(0, 360, 15),
    "left_kidney": Bins(0, 360, 15),
    "skeletal_muscle": Bins(0, 9600, 400),
    "subcutaneous_fat": Bins(0, 19_200, 800),
    "lung_opacity": Bins(0, 1920, 80),
    "pleural_effusion": Bins(0, 1440, 60),
}
"""Ranges of adult anatomy, fixed before any value is known: bins that follow the data would tell about patients.

Twenty-four bins, because the release gate merges whole divisors: 2, 3, 4, 6, 8 or 12 bins into one."""

DENSITY = Bins(-1000, 440, 60)
DENSITY_OF = ("right_lung", "left_lung", "liver", "spleen", "skeletal_muscle", "lung_opacity")
BODY = ("fat_volume", "muscle_range_volume")
BODY_BINS = Bins(0, 38_400, 1600)

SYNTHETIC_TRAINING = TrainingPlan(
    name="lung opacity",
    modality="CT",
    labels=(LABELS["lung_opacity"].code,),
    rounds=6,
    local_steps=32,
    batch_size=8,
    learning_rate=1e-2,
    size=(64, 64),
)
"""Six millimetre pixels: coarse, but two hundred steps take half a minute of one core."""


def study_definition(country: Country, *, with_training: bool) -> dict[str, Any]:
    """Write the study the demo runs.

    Parameters
    ----------
    country
        What images there are, and at which sites.
    with_training
        Whether a network is trained too.

    Returns
    -------
    dict
        JSON form of :class:`StudyDefinition`.
    """
    codes = {site.code for site in country.sites}
    measuring = _measuring(country)
    return StudyDefinition(
        title=f"Demonstration: {country.title}",
        lay_summary=(
            "Hospitals measure organs and findings in CT and MR images and train a network together. "
            "No image leaves a hospital; what is pooled are protected sums."
        ),
        mode="federated",
        cohort=_cohort(country).to_dict(),
        application={
            "background": "Shows how a study runs through the network, from DICOM to the pooled result.",
            "hypothesis": "A federated network segments unseen cases better than the mean of local ones.",
            "data_origin": country.kind,
            "data_statement": country.statement,
            "licence": country.licence,
        },
        measuring=measuring,
        analyses=(_plan(measuring),),
        training=_training(country) if with_training else None,
        evaluation_sites=(HOLDOUT,) if HOLDOUT in codes and with_training else (),
        pool_site=POOL if POOL in codes and with_training else None,
    ).to_dict()


SHOWN = 3
"""Measured variables of the demo's plan: what every hospital has, small images too, on a page one reads at a glance."""


def _plan(measuring: MeasuringPlan) -> AnalysisPlan:
    """Write the study's analysis: Table 1, and a model that small hospitals rightly refuse."""
    age, sex, *measured = columns_of(measuring, unit_of)
    volumes = [column for column in measured if "volume" in column["name"]][:SHOWN] or measured[:SHOWN]
    names = [str(column["name"]) for column in volumes]
    return parse_plan(
        {
            "name": "Organs of the cohort",
            "variables": [age, sex, *volumes],
            "estimators": [
                {"estimator": "description", "title": "Table 1", "variables": ["age", "sex", *names]},
                {
                    "estimator": "model", "title": f"{names[0]} by age and sex", "outcome": names[0],
                    "terms": ["age", "sex"], "family": "gaussian",
                },
            ],
            "minimum_sites": 2,
        }
    )  # fmt: skip


def _cohort(country: Country) -> CohortDefinition:
    modalities = sorted({case.modality for case in country.cases})
    return CohortDefinition(
        inclusion=(tuple(ImagingCriterion(modality=modality) for modality in modalities),)
    )


def _measuring(country: Country) -> MeasuringPlan:
    if country.kind == "real":
        return MeasuringPlan("structures of real images", tuple(_real_measurements(country)))
    items = [Measurement("volume", "1", LABELS[key].code, bins) for key, bins in ORGAN_VOLUME_BINS.items()]
    items += [Measurement("mean_density", "1", LABELS[key].code, DENSITY) for key in DENSITY_OF]
    items += [Measurement(biomarker, "1", None, BODY_BINS) for biomarker in BODY]
    return MeasuringPlan("organs, findings and tissue", tuple(items))


def _real_measurements(country: Country) -> list[Measurement]:
    items = []
    for label in country.labels:
        code = Code.from_dict(label["code"])
        upper = float(label.get("largest_ml") or 3000)
        items.append(Measurement("volume", "1", code, Bins(0, upper, upper / 24)))
        if label.get("modality") == "CT":
            items.append(Measurement("mean_density", "1", code, DENSITY))
    return items


def _training(country: Country) -> TrainingPlan:
    if country.kind == "synthetic":
        return replace(SYNTHETIC_TRAINING, min_sites=min(3, _training_sites(country)))
    task = country.training
    return TrainingPlan(
        name=task["name"],
        modality=task["modality"],
        labels=tuple(Code.from_dict(code) for code in task["labels"]),
        size=(task["size"][0], task["size"][1]),
        window_hu=tuple(task["window_hu"]) if task.get("window_hu") else None,
        rounds=task["rounds"],
        local_steps=task["local_steps"],
        batch_size=task["batch_size"],
        learning_rate=task["learning_rate"],
        min_sites=min(3, _training_sites(country)),
    )


def _training_sites(country: Country) -> int:
    return sum(site.purpose == "training" for site in country.sites)
