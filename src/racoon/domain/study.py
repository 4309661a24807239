"""The research study as one document: what is asked, of whom, for what, and which plans run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from racoon.domain.analysis import AnalysisPlan, parse_plan
from racoon.domain.canonical import content_hash
from racoon.domain.plan import MeasuringPlan, TrainingPlan

Mode = Literal["federated", "pooled"]


@dataclass(frozen=True)
class StudyDefinition:
    """Everything a site approves when it approves a study; approving the hash approves exactly this.

    Parameters
    ----------
    title, lay_summary
        For people; the summary in words a patient understands.
    mode
        ``"federated"`` (data stay) or ``"pooled"`` (approved export to the pool).
    cohort
        CCDL v2 document with the ``x-imaging`` extension (``domain.cohort``).
    application
        Remaining field groups of the application form (background, hypothesis, publications, …).
    measuring, training
        Plans that jobs of this study may carry; a job whose plan is not here is refused at the site.
    evaluation_sites
        Sites whose cases take part in no training and serve as unseen test cases.
    pool_site
        Site code of the node that holds pooled training data, if the study compares with pooled training.
    analyses
        Analysis plans; like the other plans, what is not here is refused at the site.
    """

    title: str
    lay_summary: str
    mode: Mode
    cohort: dict[str, Any]
    application: dict[str, Any] = field(default_factory=dict)
    measuring: MeasuringPlan | None = None
    training: TrainingPlan | None = None
    evaluation_sites: tuple[str, ...] = ()
    pool_site: str | None = None
    analyses: tuple[AnalysisPlan, ...] = ()

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical document: the version a site approves."""
        return content_hash(self.to_dict())

    @property
    def plan_hashes(self) -> frozenset[str]:
        """Hashes of the plans that jobs of this study may carry."""
        return frozenset(plan.hash for plan in (self.measuring, self.training, *self.analyses) if plan)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        document = {
            "title": self.title,
            "lay_summary": self.lay_summary,
            "mode": self.mode,
            "cohort": self.cohort,
            "application": self.application,
            "measuring": self.measuring.to_dict() if self.measuring else None,
            "training": self.training.to_dict() if self.training else None,
            "evaluation_sites": list(self.evaluation_sites),
            "pool_site": self.pool_site,
        }
        # Left out when there is none: definitions from before analyses keep the hash that sites approved.
        return document | ({"analyses": [plan.to_dict() for plan in self.analyses]} if self.analyses else {})

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> StudyDefinition:
        """Read the JSON form."""
        return cls(
            title=document["title"],
            lay_summary=document["lay_summary"],
            mode=document["mode"],
            cohort=document["cohort"],
            application=document.get("application", {}),
            measuring=MeasuringPlan.from_dict(document["measuring"]) if document.get("measuring") else None,
            training=TrainingPlan.from_dict(document["training"]) if document.get("training") else None,
            evaluation_sites=tuple(document.get("evaluation_sites", ())),
            pool_site=document.get("pool_site"),
            analyses=tuple(parse_plan(plan) for plan in document.get("analyses", ())),
        )
