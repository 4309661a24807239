"""Words of measuring: stored values, findings, and what a plan needs to be runnable here.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlencode

from racoon.domain.canonical import content_hash
from racoon.domain.coding import Code
from racoon.domain.identity import Pseudonym
from racoon.domain.plan import Measurement, MeasuringPlan, SeriesRule
from racoon.errors import Refused
from racoon.science.biomarkers import CATALOGUE, Definition, get_definition
from racoon.science.statistics import FixedBins

Automation = Literal["manual", "assisted", "automatic"]

_AUTOMATION: Mapping[str, Automation] = {
    "MANUAL": "manual",
    "SEMIAUTOMATIC": "assisted",
    "AUTOMATIC": "automatic",
}
"""Segment Algorithm Type (0062,0008) to automation level."""

WITHIN = "within"
"""Plan parameter: codes (``scheme:value``, joined by ``+``) of the reference structure, e.g. both lungs."""

DRAWN = "drawn"
"""Plan parameter: take only masks of this automation level (``manual``, ``assisted``, ``automatic``)."""

LEVELS: tuple[Automation, ...] = ("manual", "assisted", "automatic")


class BadPlan(Refused):
    """A measuring plan that can't be run here as it is written."""

    code = "measuring.bad_plan"


@dataclass(frozen=True)
class MaskSource:
    """One segment a value was measured on.

    Parameters
    ----------
    seg_instance_uid
        SOP Instance UID of the SEG; empty for a mask this program computed.
    segment_number
        Number of the segment; 0 for a computed mask.
    algorithm_type
        ``MANUAL``, ``SEMIAUTOMATIC`` or ``AUTOMATIC``.
    algorithm_name
        Who or what drew it, as the SEG says.
    """

    seg_instance_uid: str
    segment_number: int
    algorithm_type: str
    algorithm_name: str

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "seg_instance_uid": self.seg_instance_uid,
            "segment_number": self.segment_number,
            "algorithm_type": self.algorithm_type,
            "algorithm_name": self.algorithm_name,
        }


@dataclass(frozen=True)
class StoredValue:
    """One value with its provenance: from a number to the pixels it came from.

    Parameters
    ----------
    study_id, dataset_hash
        For which study and on which frozen dataset it was measured.
    series_uid, pseudonym
        Where: pseudonymous UID of the series, and its subject.
    measurement
        Key of the measurement in its plan.
    biomarker, version
        Definition.
    label
        Structure; ``None`` for the whole image.
    parameters_hash
        Hash of the plan's parameters; part of the identity of a value.
    value
        ``None`` when there is none.
    unit
        UCUM.
    valid, reason
        Whether it may be used, and the code of the reason if not.
    parameters
        Parameters and acquisition facts the value depends on.
    masks
        Segments it was measured on.
    automation
        The most automatic of the masks; ``None`` without a mask.
    key_instance_uid, key_frame, key_slice
        The slice to show for it: instance, frame (from 1), position in the stack (from 0).
    software
        Program and version that computed it.
    computed_at
        When.
    warnings
        Codes of what a reader should know although the value is valid.
    evidence
        Lines and plane that show where it was taken (``science.biomarkers.definition.Measured``).
    """

    study_id: str
    dataset_hash: str
    series_uid: str
    pseudonym: Pseudonym
    measurement: str
    biomarker: str
    version: str
    label: Code | None
    parameters_hash: str
    value: float | None
    unit: str
    valid: bool
    reason: str
    parameters: Mapping[str, Any]
    masks: tuple[MaskSource, ...]
    automation: Automation | None
    key_instance_uid: str
    key_frame: int
    key_slice: int | None
    software: str
    computed_at: datetime
    warnings: tuple[str, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def link(self) -> str:
        """Path of the page that shows series, slice and mask of this value."""
        return viewer_link(self.series_uid, self.key_instance_uid, self.masks)


def viewer_link(series_uid: str, instance_uid: str, masks: tuple[MaskSource, ...]) -> str:
    """Path of the viewer at a slice, with the first drawn mask laid over it."""
    query = {"instance": instance_uid} if instance_uid else {}
    drawn = next((mask for mask in masks if mask.seg_instance_uid), None)
    if drawn:
        query |= {"segmentation": drawn.seg_instance_uid, "segment": str(drawn.segment_number)}
    return f"/reading/series/{series_uid}" + (f"?{urlencode(query)}" if query else "")


@dataclass(frozen=True)
class Finding:
    """Something that stopped or limits the measuring of one series, for a person to look at."""

    study_id: str
    dataset_hash: str
    series_uid: str
    code: str
    message: str


@dataclass(frozen=True)
class Decision:
    """A person's word about a whole dataset: it was looked through, or a program may take over.

    Parameters
    ----------
    study_id, dataset_hash
        Of which study and frozen dataset.
    kind
        ``sign_off`` or ``promotion``.
    about
        Key of the promoted biomarker; empty for a sign-off.
    document
        What it rested on: counts of checks, or the agreement and its limits.
    decided_by, decided_at
        Who and when.
    """

    study_id: str
    dataset_hash: str
    kind: Literal["sign_off", "promotion"]
    about: str
    document: Mapping[str, Any]
    decided_by: str
    decided_at: datetime


@dataclass(frozen=True)
class Query:
    """A question about a check to who drew the mask.

    Parameters
    ----------
    study_id, dataset_hash, series_uid, pseudonym
        Where it belongs.
    check_number
        The check it is about.
    asked_of
        Who drew the mask, as its segmentation says; empty when it does not.
    question, asked_by, asked_at
        What was asked.
    number
        Row number once stored; 0 before.
    answer, answered_by, answered_at
        What was answered; empty while it is open.
    """

    study_id: str
    dataset_hash: str
    series_uid: str
    pseudonym: Pseudonym
    check_number: int
    asked_of: str
    question: str
    asked_by: str
    asked_at: datetime
    number: int = 0
    answer: str = ""
    answered_by: str = ""
    answered_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """True while nobody has answered."""
        return not self.answered_by


@dataclass(frozen=True)
class RunSummary:
    """What a run did.

    Parameters
    ----------
    series
        Series in the dataset.
    measured
        Series computed in this run; the others were complete before.
    values
        Values stored for the dataset and plan after the run.
    findings
        Series that could not be measured.
    seconds
        Time of this run.
    """

    series: int
    measured: int
    values: int
    findings: int
    seconds: float = 0.0

    @property
    def series_per_minute(self) -> float:
        """Rate of this run; 0 when nothing was left to do."""
        return 60.0 * self.measured / self.seconds if self.measured and self.seconds > 0 else 0.0


@dataclass(frozen=True)
class Task:
    """A measurement of a plan with its definition looked up and its parameters taken apart.

    Parameters
    ----------
    measurement
        As the plan names it.
    definition
        Installed definition.
    parameters
        Overrides for the definition, without ``within`` and ``drawn``.
    within
        Codes (``scheme:value``) of the reference structure.
    bins
        Histogram bins.
    irregular
        What the plan says about series that are no regular volume: ``refuse`` or ``resample``.
    drawn
        Automation level of the masks to take; empty for any.
    series
        Which series the plan measures.
    """

    measurement: Measurement
    definition: Definition
    parameters: Mapping[str, float | int | str]
    within: tuple[str, ...]
    bins: FixedBins
    irregular: str = "refuse"
    drawn: str = ""
    series: SeriesRule = field(default_factory=SeriesRule)

    @property
    def label_key(self) -> str:
        """``scheme:value`` of the structure; empty for the whole image."""
        return self.measurement.label.key if self.measurement.label else ""

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What makes a stored value of a series the answer to this task: a restart looks for it."""
        stated: dict[str, Any] = dict(self._parameters)
        if not self.series.is_open:
            # Under another rule the same series may have no value.
            stated["series rule"] = self.series.to_dict()
        return self.definition.id, self.definition.version, self.label_key, content_hash(stated)

    @property
    def structures(self) -> frozenset[str]:
        """Names of the further structures the definition needs or can use."""
        return self.definition.further_structures(self.parameters)

    @property
    def _parameters(self) -> dict[str, float | int | str]:
        """Parameters that make a value another one; a plan that refuses reads no value that was interpolated."""
        own = self.measurement.parameters
        return own if self.irregular == "refuse" else {**own, "irregular": self.irregular}


def check_plan(plan: MeasuringPlan) -> tuple[Task, ...]:
    """Look every measurement of a plan up and make sure that it can be run.

    Raises
    ------
    UnknownBiomarker
        If a definition is not installed here.
    BadPlan
        If a parameter, structure or bin makes no sense, or a measurement stands twice: the same measurement
        with two sets of bins would let overlapping bins be subtracted from each other.
    """
    tasks = tuple(_task(measurement, plan) for measurement in plan.measurements)
    if not tasks:
        raise BadPlan("The measuring plan names no measurement.")
    if len({task.identity for task in tasks}) != len(tasks):
        raise BadPlan("The measuring plan names the same measurement twice.")
    return tasks


def _task(measurement: Measurement, plan: MeasuringPlan) -> Task:
    definition = get_definition(measurement.biomarker, measurement.version)
    parameters = dict(measurement.parameters)
    within = tuple(part for part in str(parameters.pop(WITHIN, "")).split("+") if part)
    drawn = str(parameters.pop(DRAWN, ""))
    if drawn and drawn not in LEVELS:
        raise BadPlan(
            f"The measurement {measurement.key[:120]!r} asks for masks drawn {drawn[:40]!r}; "
            "write manual, assisted or automatic."
        )
    try:
        definition.merged(parameters)
        bins = FixedBins(measurement.bins.lower, measurement.bins.upper, measurement.bins.width)
    except ValueError as error:
        raise BadPlan(f"The measurement {measurement.key[:120]!r} can't be run: {error}.") from error
    if measurement.label is None and not definition.whole_image:
        raise BadPlan(f"The measurement {measurement.key[:120]!r} needs a structure.")
    if bool(within) != definition.needs_reference:
        needs = "needs" if definition.needs_reference else "takes no"
        raise BadPlan(f"The measurement {measurement.key[:120]!r} {needs} parameter 'within'.")
    return Task(measurement, definition, parameters, within, bins, plan.irregular, drawn, plan.series)


def level_of(algorithm_type: str) -> Automation:
    """Automation level of a Segment Algorithm Type; an unknown type counts as automatic."""
    return _AUTOMATION.get(algorithm_type, "automatic")


def automation_of(masks: tuple[MaskSource, ...]) -> Automation | None:
    """Name the most automatic of the masks' origins."""
    return max((level_of(mask.algorithm_type) for mask in masks), key=LEVELS.index, default=None)


def title_of(value: StoredValue, language: str = "en") -> str:
    """Name of the definition for people."""
    definition = CATALOGUE.get(f"{value.biomarker}@{value.version}")
    if definition is None:
        return value.biomarker
    return definition.title_de if language == "de" else definition.title_en
