"""FHIR R4 itself for the resources in use: which elements exist at the top, which are required, which codes hold.

Facts of the R4 specification (4.0.1); a conformance test lays them beside an independent model of it.
"""

from __future__ import annotations

from collections.abc import Mapping

from racoon.standards.fhir.rules.model import Rule

_ALWAYS = "resourceType id meta implicitRules language"
_DOMAIN = f"{_ALWAYS} text contained extension modifierExtension"

_ELEMENTS = {
    "AuditEvent": (
        "type subtype action period recorded outcome outcomeDesc purposeOfEvent agent source entity"
    ),
    "BodyStructure": ("identifier active morphology location locationQualifier description image patient"),
    "CarePlan": (
        "identifier instantiatesCanonical instantiatesUri basedOn replaces partOf status intent category title"
        " description subject encounter period created author contributor careTeam addresses supportingInfo goal"
        " activity note"
    ),
    "Composition": (
        "identifier status type category subject encounter date author title confidentiality attester custodian"
        " relatesTo event section"
    ),
    "Condition": (
        "identifier clinicalStatus verificationStatus category severity code bodySite subject encounter onset[x]"
        " abatement[x] recordedDate recorder asserter stage evidence note"
    ),
    "Consent": (
        "identifier status scope category patient dateTime performer organization source[x] policy policyRule"
        " verification provision"
    ),
    "Device": (
        "identifier definition udiCarrier status statusReason distinctIdentifier manufacturer manufactureDate"
        " expirationDate lotNumber serialNumber deviceName modelNumber partNumber type specialization version"
        " property patient owner contact location url note safety parent"
    ),
    "DiagnosticReport": (
        "identifier basedOn status category code subject encounter effective[x] issued performer"
        " resultsInterpreter specimen result imagingStudy media conclusion conclusionCode presentedForm"
    ),
    "Encounter": (
        "identifier status statusHistory class classHistory type serviceType priority subject episodeOfCare"
        " basedOn participant appointment period length reasonCode reasonReference diagnosis account"
        " hospitalization location serviceProvider partOf"
    ),
    "ImagingStudy": (
        "identifier status modality subject encounter started basedOn referrer interpreter endpoint"
        " numberOfSeries numberOfInstances procedureReference procedureCode location reasonCode reasonReference"
        " note description series"
    ),
    "MedicationAdministration": (
        "identifier instantiates partOf status statusReason category medication[x] subject context"
        " supportingInformation effective[x] performer reasonCode reasonReference request device note dosage"
        " eventHistory"
    ),
    "MedicationRequest": (
        "identifier status statusReason intent category priority doNotPerform reported[x] medication[x] subject"
        " encounter supportingInformation authoredOn requester performer performerType recorder reasonCode"
        " reasonReference instantiatesCanonical instantiatesUri basedOn groupIdentifier courseOfTherapyType"
        " insurance note dosageInstruction dispenseRequest substitution priorPrescription detectedIssue"
        " eventHistory"
    ),
    "MedicationStatement": (
        "identifier basedOn partOf status statusReason category medication[x] subject context effective[x]"
        " dateAsserted informationSource derivedFrom reasonCode reasonReference note dosage"
    ),
    "Observation": (
        "identifier basedOn partOf status category code subject focus encounter effective[x] issued performer"
        " value[x] dataAbsentReason interpretation note bodySite method specimen device referenceRange hasMember"
        " derivedFrom component"
    ),
    "Patient": (
        "identifier active name telecom gender birthDate deceased[x] address maritalStatus multipleBirth[x] photo"
        " contact communication generalPractitioner managingOrganization link"
    ),
    "Procedure": (
        "identifier instantiatesCanonical instantiatesUri basedOn partOf status statusReason category code subject"
        " encounter performed[x] recorder asserter performer location reasonCode reasonReference bodySite outcome"
        " report complication complicationDetail followUp note focalDevice usedReference usedCode"
    ),
    "Provenance": ("target occurred[x] recorded policy location reason activity agent entity signature"),
    "QuestionnaireResponse": (
        "identifier basedOn partOf questionnaire status subject encounter authored author source item"
    ),
    "ResearchStudy": (
        "identifier title protocol partOf status primaryPurposeType phase category focus condition contact"
        " relatedArtifact keyword location description enrollment period sponsor principalInvestigator site"
        " reasonStopped note arm objective"
    ),
    "ResearchSubject": "identifier status period study individual assignedArm actualArm consent",
    "ServiceRequest": (
        "identifier instantiatesCanonical instantiatesUri basedOn replaces requisition status intent category"
        " priority doNotPerform code orderDetail quantity[x] subject encounter occurrence[x] asNeeded[x]"
        " authoredOn requester performerType performer locationCode locationReference reasonCode reasonReference"
        " insurance supportingInfo specimen bodySite note patientInstruction relevantHistory"
    ),
}

ELEMENTS: Mapping[str, frozenset[str]] = {
    kind: frozenset(f"{_DOMAIN} {names}".split()) for kind, names in _ELEMENTS.items()
}
"""Elements that a resource may have at the top; ``name[x]`` stands for every type of a choice."""

REQUIRED: Mapping[str, tuple[Rule, ...]] = {
    "AuditEvent": (
        Rule("type", 1, 1),
        Rule("action", 0, 1, codes="audit-action"),
        Rule("recorded", 1, 1),
        Rule("outcome", 0, 1, codes="audit-outcome"),
        Rule("agent", 1),
        Rule("agent.requestor", 1, 1),
        Rule("source", 1, 1),
        Rule("source.observer", 1, 1),
    ),
    "BodyStructure": (Rule("patient", 1, 1, targets=("Patient",)),),
    "CarePlan": (
        Rule("status", 1, 1, codes="care-plan-status"),
        Rule("intent", 1, 1, codes="care-plan-intent"),
        Rule("subject", 1, 1),
    ),
    "Composition": (
        Rule("status", 1, 1, codes="composition-status"),
        Rule("type", 1, 1),
        Rule("date", 1, 1),
        Rule("author", 1),
        Rule("title", 1, 1),
    ),
    "Condition": (Rule("subject", 1, 1),),
    "Consent": (
        Rule("status", 1, 1, codes="consent-status"),
        Rule("scope", 1, 1),
        Rule("category", 1),
    ),
    "DiagnosticReport": (Rule("status", 1, 1, codes="report-status"), Rule("code", 1, 1)),
    "Encounter": (Rule("status", 1, 1, codes="encounter-status"), Rule("class", 1, 1)),
    "ImagingStudy": (
        Rule("status", 1, 1, codes="imaging-status"),
        Rule("subject", 1, 1),
        Rule("series.uid", 1, 1),
        Rule("series.modality", 1, 1),
        Rule("series.instance.uid", 1, 1),
        Rule("series.instance.sopClass", 1, 1),
        Rule("series.performer.actor", 1, 1),
    ),
    "MedicationAdministration": (
        Rule("status", 1, 1),
        Rule("medication[x]", 1, 1),
        Rule("subject", 1, 1),
        Rule("effective[x]", 1, 1),
    ),
    "MedicationRequest": (
        Rule("status", 1, 1),
        Rule("intent", 1, 1),
        Rule("medication[x]", 1, 1),
        Rule("subject", 1, 1),
    ),
    "MedicationStatement": (Rule("status", 1, 1), Rule("medication[x]", 1, 1), Rule("subject", 1, 1)),
    "Observation": (
        Rule("status", 1, 1, codes="observation-status"),
        Rule("code", 1, 1),
        Rule("value[x]", 0, 1),
        Rule("component.code", 1, 1),
    ),
    "Patient": (Rule("gender", 0, 1, codes="gender"), Rule("deceased[x]", 0, 1)),
    "Procedure": (Rule("status", 1, 1, codes="procedure-status"), Rule("subject", 1, 1)),
    "Provenance": (
        Rule("target", 1),
        Rule("recorded", 1, 1),
        Rule("agent", 1),
        Rule("agent.who", 1, 1),
        Rule("entity.role", 1, 1, codes="entity-role"),
        Rule("entity.what", 1, 1),
    ),
    "QuestionnaireResponse": (
        Rule("status", 1, 1, codes="response-status"),
        Rule("item.linkId", 1, 1),
    ),
    "ResearchStudy": (Rule("status", 1, 1, codes="research-study-status"),),
    "ResearchSubject": (
        Rule("status", 1, 1, codes="research-subject-status"),
        Rule("study", 1, 1),
        Rule("individual", 1, 1),
    ),
    "ServiceRequest": (
        Rule("status", 1, 1, codes="request-status"),
        Rule("intent", 1, 1, codes="request-intent"),
        Rule("subject", 1, 1),
    ),
}
"""What R4 demands beyond the types of elements."""
