"""Codes in words: states, roles, kinds of work and reasons, in the reader's language.

Codes are stable and stand in databases and messages; people read words.  English words come from the code
itself or from :data:`NAMES`, German ones from the catalogues.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from racoon.web.sentences import say_sentence
from racoon.web.translation import translations

NAMES: Mapping[str, str] = {
    "readiness.connection": "CENTRAL is reached",
    "readiness.keys": "keys",
    "readiness.certificate": "certificate",
    "readiness.intake": "intake of invented images",
    "readiness.refusal": "nothing runs without a decision",
    "readiness.count": "protected count",
    "readiness.measure": "measurement of known volumes",
    "readiness.gate": "gate of what leaves",
    "alert.silent": "No sign of life",
    "alert.disk": "Little disk space",
    "alert.certificate": "Certificate ends soon",
    "alert.quarantine": "Objects in quarantine",
    "alert.version": "Old version",
    "condition.well": "well",
    "condition.attention": "needs attention",
    "condition.silent": "silent",
    "condition.never_seen": "not connected yet",
    "level.bad": "broken",
    "level.warn": "soon",
    "level.todo": "your turn",
    "vote.yes": "yes",
    "vote.conditional": "yes, with conditions",
    "vote.no": "no",
    "diz_check": "DIC check",
    "uac_vote": "committee vote",
    "dpo_ok": "data protection agreed",
    "local_ethics": "local ethics vote",
    "diz": "data integration centre",
    "dpo": "data protection officer",
    "uac_member": "committee member",
    "uac_chair": "committee chair",
    "admin_central": "administrator of CENTRAL",
    "legal_basis": "legal basis",
    "choice.yes": "yes",
    "punch_volume": "Punch: volume",
    "punch_mean": "Punch: mean",
    "punch_sd": "Punch: standard deviation",
    "punch_feature": "Punch: feature",
    "doubt.open": "waits",
    "doubt.later": "later",
    "doubt.match": "one person",
    "doubt.no_match": "two people",
    "card.images": "the images",
    "card.messages": "the admission (HL7)",
    "issue.error": "Breaks a rule",
    "issue.warning": "Unusual",
    "issue.information": "Noted",
    "sex.F": "female",
    "sex.M": "male",
    "choice.no": "no",
    "grant.roles": "roles",
    "grant.reset": "new password, without second factor",
    "grant.enable": "enable the account again",
    "grant.mapped": "roles given by the identity provider",
    "choice.synthetic": "synthetic",
    "choice.real": "real",
    "choice.never": "never",
    "choice.to_pool": "to the pool",
    "approval.legal_basis": "Legal basis",
    "approval.uac": "Use and access committee",
    "approval.ethics": "Ethics vote",
    "approval.data_protection": "Data protection",
    "approval.contract": "Contract",
    "approval.opt_in": "Opt-in",
    "approval.release": "Release of data",
    "amend_submitted": "amendment submitted",
    "amend_check": "amendment in check",
    "amend_voting": "amendment: sites vote",
    "amend_in_force": "amendment in force",
    "amend_refused": "amendment refused",
    "amend_withdrawn": "amendment withdrawn",
    "superseded": "replaced by a newer version",
    "valid_until": "last day",
    "ethics_valid_until": "last day of the ethics vote",
    "contract_valid_until": "last day of the contract",
    "public_reason": "reason that CENTRAL sees too",
    "joint_control": "joint control or processing (Art. 26, 28)",
    "impact_assessment": "impact assessment",
    "purposes": "purposes, if not all",
    "abstentions": "abstentions for conflict of interest",
    "transfer.dicom": "DICOM",
    "transfer.http": "HTTP",
    "transfer.import": "import",
    "transfer.pull": "from the PACS",
    "transfer.open": "under way",
    "transfer.released": "complete",
    "transfer.aborted": "broken off",
    "transfer.interrupted": "interrupted",
    "quarantine.waiting": "waits for a decision",
    "quarantine.correcting": "on its way again",
    "quarantine.corrected": "set right",
    "quarantine.released": "tried again",
    "quarantine.deleted": "deleted",
    "message.held": "keeps its patient waiting",
    "message.refused": "not readable",
    "source.embedded": "this node itself",
    "source.closed": "not set up",
    "source.never_seen": "not asked yet",
    "source.well": "answers",
    "source.silent": "does not answer",
    "fetch.done": "complete",
    "fetch.open": "goes on",
    "cells.numbers": "numbers",
    "cells.days": "days",
    "cells.words": "few words",
    "cells.texts": "texts",
    "cells.empty": "nothing",
    "fact.subjects": "subjects",
    "fact.documents": "documents",
    "fact.withdrawn": "withdrawn",
    "fact.read": "read",
    "fact.stored": "new",
    "fact.unchanged": "unchanged",
    "fact.refused": "refused",
    "fact.left_out": "left out",
    "pull.waiting": "waiting",
    "pull.fetched": "fetched",
    "pull.partial": "partial",
    "pull.refused": "refused",
    "detail.suspicions": "Suspicions",
    "detail.tag": "Element",
    "detail.elements": "Elements",
    "detail.missing": "Missing bytes",
    "detail.excess": "Bytes too many",
    "detail.expected": "Expected bytes",
    "detail.bytes": "Bytes it claims",
    "detail.sop_class": "SOP class",
    "detail.transfer_syntax": "Transfer syntax",
    "detail.kind": "Kind of fault",
    "detail.detail": "What the reader says",
    "detail.rule": "Rule",
    "detail.imaging_study": "Imaging study",
    "detail.belongs_to": "Subject of the imaging study",
    "detail.carries": "Subject of this object",
    "detail.frames_with_text": "Frames with text",
    "train.local": "local training",
    "train.federated": "federated training",
    "dropout.continue": "go on without it",
    "dropout.stop": "stop",
    "estimator.description": "Table 1",
    "estimator.comparison": "test between groups",
    "estimator.model": "regression model",
    "estimator.survival": "survival curves",
    "estimator.cox": "Cox model",
    "estimator.correlation": "correlation",
    "estimator.agreement": "agreement",
    "estimator.incidence": "cumulative incidence",
    "estimator.mixed": "mixed model",
    "estimator.prediction": "ROC and calibration",
    "estimator.propensity": "propensity score",
    "estimator.meta": "meta-analysis",
    "estimator.multiplicity": "correction for many tests",
    "estimator.time-series": "interrupted time series",
    "estimator.harmonisation": "harmonisation (ComBat)",
    "estimator.comorbidome": "comorbidome",
    "criterion.imaging": "image series",
    "criterion.age": "age at the examination",
    "criterion.gender": "sex",
    "criterion.condition": "diagnosis",
    "criterion.observation": "laboratory value",
    "criterion.procedure": "procedure",
    "criterion.medication": "medication",
    "criterion.consent": "consent",
    "matching.gender": "sex",
    "matching.modality": "modality",
    "matching.bodyPart": "body part",
    "matching.scanner": "scanner",
    "matching.ageBand": "age band",
    "covariate.age_years": "age",
    "covariate.gender": "sex",
    "covariate.modality": "modality",
    "covariate.body_part": "body part",
    "covariate.slice_thickness_mm": "slice thickness",
    "covariate.scanner": "scanner",
    "policy.use": "use for research",
    "policy.store": "keeping and processing",
    "policy.collect": "collecting medical data",
    "policy.retrospective": "data from before the consent",
    "policy.outside_eu": "giving data to countries outside the EU",
    "policy.merge": "merging with data of other places",
    "policy.recontact": "being contacted for more data",
    "available.inPacs": "known to the clinic's system",
    "available.deidentified": "de-identified in the archive",
    "available.annotated": "with a finding or a signed report",
    "mode.federated": "all sites together",
    "mode.pool": "the pool",
    "mode.sites": "each site alone, meta-analysis",
    "limit.pairs": "too few pairs",
    "limit.bias": "bias too large or too uncertain",
    "limit.icc": "ICC too low",
    "limit.ccc": "CCC too low",
    "series.volume": "volume",
    "series.slice": "single slice",
    "series.localiser": "localiser",
    "series.image_without_geometry": "images without a place in space",
    "series.projection": "projection",
    "series.fluoroscopy": "fluoroscopy",
    "series.ultrasound": "ultrasound",
    "series.segmentation": "segmentation",
    "series.contours": "contours",
    "series.radiation_dose_grid": "radiation dose grid",
    "series.parametric_map": "parametric map",
    "series.dose_report": "dose report",
    "series.real_world_value_map": "real world value map",
    "series.document": "document",
    "series.structured_report": "structured report",
    "series.secondary_capture": "secondary capture",
    "series.presentation": "presentation state",
    "series.other": "other object",
    "series.unknown": "unknown",
    "series.native": "native",
    "series.arterial": "arterial",
    "series.portal_venous": "portal venous",
    "series.delayed": "delayed",
    "series.enhanced": "contrast, phase unknown",
    "series.thin": "thin slices",
    "series.medium": "medium slices",
    "series.thick": "thick slices",
    "series.axial": "axial",
    "series.coronal": "coronal",
    "series.sagittal": "sagittal",
    "series.oblique": "oblique",
    "series.mixed": "mixed planes",
    "severity.error": "error",
    "severity.warning": "warning",
    "severity.note": "note",
    "deletion.waiting": "waits for a second person",
    "acquisition.modality": "Modality",
    "acquisition.kvp": "Tube voltage, kV",
    "acquisition.slice_thickness_mm": "Slice thickness, mm",
    "acquisition.has_contrast": "Contrast agent given",
    "acquisition.kernel": "Reconstruction kernel",
    "acquisition.is_gated": "ECG gated",
    "acquisition.field_strength_t": "Field strength, T",
    "acquisition.suv_factor": "SUV per stored value",
    "deletion.removing": "being removed",
    "deletion.done": "deleted",
    "deletion.refused": "not deleted",
    "review.export": "Export to the pool",
    "review.result": "Result of a job",
    "review.waiting": "waits for a reviewer",
    "review.accepted": "accepted",
    "review.refused": "refused by a reviewer",
    "shipment.review": "waits for a reviewer",
    "shipment.refused": "refused by a reviewer",
    "shipment.building": "is being closed",
    "shipment.sending": "on its way",
    "shipment.sent": "sent, no receipt yet",
    "shipment.received": "received whole",
    "shipment.partly": "received in part",
    "shipment.stopped": "stopped",
    "shipment.deleted": "deleted at the pool",
    "incoming.announced": "announced",
    "incoming.fetching": "being fetched",
    "incoming.stored": "stored whole",
    "incoming.partly": "stored in part",
    "incoming.quarantined": "not taken",
    "incoming.deleted": "deleted",
    "aside.hash": "other bytes than signed",
    "aside.unreadable": "not readable",
    "aside.names": "names another subject",
    "aside.damaged": "damaged on the way",
    "aside.conflict": "other content under a known name",
    "aside.withdrawn": "withdrawn meanwhile",
    "quality.error": "error",
    "quality.warning": "warning",
    "quality.note": "note",
    "quality.fine": "fine",
    "public.active": "under way",
    "public.data_hold": "paused",
    "public.analysis": "being evaluated",
    "public.closed": "finished",
    "public.archived": "finished, data deleted or archived",
    "basis.hospital_law": "hospital law",
    "basis.health_data_use": "law on the use of health data",
    "basis.ethics_waiver": "waiver of an ethics committee",
    "basis.contract": "contract",
    "basis.synthetic": "invented data, of nobody",
    "withdrawal.blocked": "in force, being erased",
    "withdrawal.erased": "erased, with proof",
    "reidentification.waiting": "waits for a second person",
    "reidentification.agreed": "agreed",
    "reidentification.refused": "refused",
    "reidentification.expired": "expired",
}
"""Stable codes whose English words are not just the code with spaces."""


TONES: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "released",
            "opted_in",
            "data_ready",
            "succeeded",
            "completed",
            "enrolled",
            "success",
            "active",
            "valid",
            "kept",
            "reached",
            "approved",
        ),
        "good",
    ),
    **dict.fromkeys(("failed", "failure", "declined", "stopped", "suspended", "rejected", "excluded"), "bad"),
    **dict.fromkeys(
        (
            "refused",
            "cancelled",
            "paused",
            "invited",
            "data_hold",
            "withdrawn",
            "rework",
            "conditions_open",
            "not valid",
            "open",
            "not reached",
        ),
        "warn",
    ),
    "transfer.released": "good",
    "transfer.aborted": "bad",
    "transfer.interrupted": "bad",
    "quarantine.waiting": "warn",
    "message.held": "bad",
    "message.refused": "warn",
    "quarantine.corrected": "good",
    "source.well": "good",
    "source.silent": "bad",
    "source.never_seen": "warn",
    "fetch.done": "good",
    "fetch.open": "warn",
    "pull.fetched": "good",
    "pull.partial": "warn",
    "pull.refused": "bad",
    "withdrawal.blocked": "warn",
    "withdrawal.erased": "good",
    "condition.well": "good",
    "condition.attention": "warn",
    "condition.silent": "bad",
    "level.bad": "bad",
    "level.warn": "warn",
}
"""Colour of a state's label; the words say the same, so that nobody depends on colour."""


def tone(state: str) -> str:
    """Return ``good``, ``warn``, ``bad`` or nothing."""
    return TONES.get(state, "")


UNITS: Mapping[str, str] = {"[hnsf'U]": "HU", "{HU}": "HU", "[hu]": "HU", "ml": "mL", "1": ""}
"""UCUM codes that people write otherwise; all others are shown as they are."""


def unit_text(code: str) -> str:
    """Write a unit as people do."""
    return UNITS.get(code, code)


def axis_number(value: float, language: str = "en", spec: str = ".4g") -> str:
    """Write a number of a figure with the decimal sign of a language.

    Parameters
    ----------
    value
        Any number.
    language
        ``"de"`` or ``"en"``.
    spec
        How many digits, as for ``format``.
    """
    text = format(value, spec).replace("-", "−")
    return text.replace(".", ",") if language == "de" else text


@functools.cache
def words_of(language: str) -> Callable[[str | None], str]:
    """Return the function that says a code or a public reason in a language.

    Its answer is plain text, so templates escape it.  Inside a template ``_()`` is for the template's own
    sentences only: what it returns counts as safe HTML there.
    """
    translate = translations(language).gettext

    def words(text: str | None) -> str:
        if not text:
            return ""
        english = english_of(text)
        said = translate(english)
        if said == english and language != "en" and (found := say_sentence(english, translate, words)):
            return found
        first, colon, rest = english.partition(": ")
        if said == english and colon:
            return f"{translate(english_of(first))}: {words(rest)}"
        return said

    return words


def english_of(text: str) -> str:
    """Return the English words of a code; a sentence is its own."""
    return NAMES.get(text, text if " " in text else text.replace("_", " "))
