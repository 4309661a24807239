"""The card of a model package: what the model is, what it takes, what it was made from and what it may be used for."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from racoon.domain.canonical import content_hash
from racoon.domain.plan import TrainingPlan
from racoon.errors import RacoonError, Refused
from racoon.learning.architectures import check_plan, get_architecture, output_count
from racoon.learning.cases import PERCENTILES

RESEARCH_USE = "Research use only: not a medical device, not for diagnosis or treatment."
"""Goes onto every card and every output."""

Text = Annotated[str, StringConstraints(max_length=2000)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class PackageRefused(Refused):
    """A model package that does not keep the rules; the code says which rule."""

    code: ClassVar[str] = "package.refused"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Step(_Part):
    """One step before or after the network, by its name in the registry.

    Attributes
    ----------
    name, parameters
        Name and settings; no step carries code.
    """

    name: Name
    parameters: dict[str, Any] = Field(default_factory=dict)


class ArchitectureName(_Part):
    """The network, by its name in the registry.

    Attributes
    ----------
    name, classes
        Name, and number of outputs: classes, of a segmentation with the background; 1 of a regression.
    """

    name: Annotated[str, StringConstraints(max_length=64)]
    classes: Annotated[int, Field(ge=1, le=65)]


class FileFacts(_Part):
    """What a file of the package must be.

    Attributes
    ----------
    sha256, size
        Hash and number of bytes.
    """

    sha256: Digest
    size: Annotated[int, Field(ge=1)]


class Card(_Part):
    """``model.json``.

    Attributes
    ----------
    format
        Version of this form.
    name, version
        For people; the package's identity is its hash.
    use, intended_use, licence
        Research only, what for, and under which licence.
    study, approvals
        Study the model comes from; hashes of the approvals it was trained under.
    data
        Where the training data came from: sites and numbers of cases.
    metrics
        Per site: subjects nobody trained on, what was measured on them, the trivial baseline.
    training
        Mode, rounds, seed and who took part.
    plan
        The training plan; architecture, input contract and steps are derived from it and must agree.
    architecture, input, preprocessing, postprocessing
        What runs, by name.
    labels
        Codes of the classes after the background.
    golden_tolerance
        Largest difference of class scores that counts as the same on another machine.
    software
        Versions the model was made with.
    created
        Date, UTC.
    files
        The other files of the package.
    """

    format: Literal["racoon-model/1"] = "racoon-model/1"
    name: Name
    version: Annotated[str, StringConstraints(pattern=r"^\d{1,4}\.\d{1,4}\.\d{1,4}$")] = "1.0.0"
    use: Literal["Research use only: not a medical device, not for diagnosis or treatment."] = (
        "Research use only: not a medical device, not for diagnosis or treatment."
    )
    intended_use: Text
    licence: Text
    study: Text = ""
    approvals: tuple[Text, ...] = ()
    data: dict[str, Any]
    metrics: dict[str, Any]
    training: dict[str, Any]
    plan: dict[str, Any]
    architecture: ArchitectureName
    input: dict[str, Any]
    preprocessing: tuple[Step, ...]
    postprocessing: tuple[Step, ...]
    labels: tuple[dict[str, str], ...]
    golden_tolerance: Annotated[float, Field(gt=0, le=0.1)] = 1e-3
    software: dict[str, str]
    created: Text
    files: dict[str, FileFacts]

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical card: the name of the package."""
        return content_hash(self.model_dump(mode="json"))

    def training_plan(self) -> TrainingPlan:
        """Return the plan, checked against the registry and everything the card derives from it.

        Raises
        ------
        PackageRefused
            ``package.architecture`` for a network that is not installed here, ``package.plan`` for a plan no site
            could run, ``package.contradiction`` where card and plan disagree.
        """
        try:
            get_architecture(self.architecture.name)
        except RacoonError as error:
            raise PackageRefused(error.public_message, code="package.architecture") from error
        try:
            plan = TrainingPlan.from_dict(self.plan)
            check_plan(plan)
        except (RacoonError, KeyError, TypeError, ValueError) as error:
            raise PackageRefused(
                "The package's training plan cannot be read.", code="package.plan"
            ) from error
        derived = derived_parts(plan)
        dumped = self.model_dump(mode="json")
        for name, value in derived.items():
            if dumped[name] != value:
                raise PackageRefused(
                    f"The card's {name} is not what its training plan says.", code="package.contradiction"
                )
        return plan


def derived_parts(plan: TrainingPlan) -> dict[str, Any]:
    """Return the parts of a card that follow from the plan, in JSON form."""
    if plan.window_hu:
        intensity = {
            "name": "window",
            "parameters": {"lower": plan.window_hu[0], "upper": plan.window_hu[1]},
        }
    else:
        intensity = {
            "name": "percentiles",
            "parameters": {"lower": PERCENTILES[0], "upper": PERCENTILES[1]},
        }
    steps: list[dict[str, Any]] = [{"name": "orient-axial", "parameters": {}}, intensity]
    if plan.spacing_mm:
        names = ("slice_mm", "row_mm", "column_mm")
        steps.append({"name": "resample", "parameters": dict(zip(names, plan.spacing_mm, strict=True))})
    window = {"rows": plan.size[-2], "columns": plan.size[-1]}
    if plan.target:
        window = {"slices": plan.size[0], **window} if len(plan.size) == 3 else window
        steps.append({"name": "fit-whole", "parameters": window})
    else:
        steps.append({"name": f"fit-{plan.larger}", "parameters": window})
    return {
        "architecture": {"name": plan.architecture, "classes": output_count(plan)},
        "input": {"modality": plan.modality, **plan.contract.to_dict()},
        "preprocessing": steps,
        "postprocessing": [
            {"name": name.replace("_", "-"), "parameters": {}} for name in plan.postprocessing
        ],
        "labels": [label.to_dict() for label in plan.labels],
    }


def read_card(document: Any) -> Card:
    """Check the form of ``model.json``.

    Raises
    ------
    PackageRefused
        ``package.card``, naming the first field that is wrong.
    """
    try:
        return Card.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise PackageRefused(
            f"The package's model.json is wrong at {place[:80] or 'its top'}.", code="package.card"
        ) from error
