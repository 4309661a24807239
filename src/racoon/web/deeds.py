"""The audit log in plain words: what each deed was, to what kind of thing it was done, and which entries to show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field

from racoon.platform.audit import AuditEntry

AUDIT_PAGE = 100
"""Entries on one page."""

OUTCOMES = ("success", "refused", "failure")

DEEDS: Mapping[str, str] = {
    "access.refuse": "asked for something that the role does not allow",
    "account.create": "made an account",
    "account.disable": "disabled an account",
    "account.enable": "enabled an account again",
    "account.grant.ask": "asked for a role that decides",
    "account.grant.confirm": "confirmed what another person asked for an account",
    "account.grant.refuse": "refused what another person asked for an account",
    "account.password": "changed the own password",
    "account.reset": "gave somebody a new password",
    "account.roles": "changed somebody's roles",
    "account.second_factor.remove": "removed the own second factor",
    "account.second_factor.set": "set up the own second factor",
    "amendment.submit": "submitted an amendment of a study",
    "amendment.transition": "took an amendment one step on",
    "analysis.rows_shown": "looked at rows of an analysis",
    "analysis.table_read": "read the table of an analysis",
    "archive.reindex": "made the index of the archive anew",
    "archive.verify": "checked that the archive is whole",
    "audit.anchor": "was sent the newest hash of this log",
    "clinical.doubt.decide": "decided whether two records are one person",
    "clinical.doubt.look": "looked at two records that may be one person",
    "clinical.doubt.undo": "took back a decision about two records",
    "clinical.import": "took clinical data in",
    "clinical.list.give": "gave a list of cohort members to a neighbour",
    "clinical.list.take": "took a list of cohort members from a neighbour",
    "clinical.mapping.save": "saved how a table's columns are read",
    "clinical.match.decide": "decided to whom images belong",
    "clinical.merge": "joined two records of one person",
    "clinical.order.decide": "decided to which order images belong",
    "clinical.part": "parted two records that were joined",
    "clinical.part.settle": "settled to whom a row belongs after a parting",
    "clinical.snapshot": "made a copy of the clinical data of a study",
    "clinical.transfer": "gave a list from one neighbour to another",
    "consent.basis.end": "took a legal basis back",
    "consent.basis.record": "recorded a legal basis",
    "consent.document.record": "recorded consents",
    "consent.erase": "erased a withdrawn person's data and proved it",
    "consent.look": "looked at a person's permission",
    "consent.tombstone.acknowledged": "confirmed that it acted on a withdrawal",
    "consent.tombstone.overdue": "has not confirmed a withdrawal for fourteen days",
    "consent.withdraw": "put a withdrawal in force",
    "count.hold": "held a protected count for a person to look at",
    "count.lift": "let held counts go on",
    "count.refuse": "refused a protected count",
    "dataset.freeze": "froze a dataset",
    "derived.store": "stored an object derived from images",
    "diagnostics.make": "made a diagnostics bundle",
    "drawing.finish": "finished a drawing",
    "engine.join": "joined the training engine",
    "envelope.receive": "took a signed message in",
    "evaluation.look": "looked at a model's worst cases",
    "export.state": "took an export to the pool one step on",
    "fhir.export": "exported FHIR resources",
    "fhir.push": "began to send FHIR resources",
    "fhir.pushed": "sent FHIR resources",
    "fhir.read": "read a FHIR resource",
    "fhir.search": "searched FHIR resources",
    "finding.remove": "removed a finding",
    "finding.save": "saved a finding",
    "finding.take_in": "took a finding in from elsewhere",
    "hl7.dismiss": "laid an HL7 message aside",
    "hl7.try_again": "tried an HL7 message again",
    "image.delete": "deleted images",
    "image.delete.confirm": "tried to confirm the own deletion",
    "image.delete.refuse": "refused a deletion",
    "image.delete.request": "asked for a deletion",
    "image.grant": "let somebody see images",
    "image.read": "looked at images",
    "image.revoke": "took somebody's view of images back",
    "intake.import": "took images in from a folder",
    "intake.upload": "took images in from a browser",
    "job.cancel": "stopped a job",
    "job.end": "ended a job",
    "job.go_on": "let a paused job go on",
    "job.pause": "let a job wait",
    "job.receive": "was asked to do a job",
    "job.start": "began a job",
    "labels.added": "took reference labels in",
    "letter.receive": "took a sealed letter in",
    "linkage.encode": "encoded names for linkage",
    "linkage.take": "took the result of a linkage in",
    "local.decide": "decided a step of the site's own process",
    "measurement.answer": "answered a question about a value",
    "measurement.ask": "asked about a value",
    "measurement.check": "checked a value",
    "measurement.comorbidome": "made a comorbidome",
    "measurement.import": "took measured values in",
    "measurement.promote": "put a new version of values in force",
    "measurement.punch": "measured in a punched region",
    "measurement.sign_off": "signed a check of values off",
    "message.receive": "took a message of a site in",
    "message.rejected_by_site": "was refused a message by a site",
    "model.added": "added a model",
    "model.approved": "approved a model",
    "model.offered": "offered a model",
    "model.run": "ran a model on images",
    "model.withdrawn": "withdrew a model",
    "onboarding.mentor": "named a mentor",
    "onboarding.tick": "ticked a step of the onboarding",
    "pool.deletion.ask": "asked to delete a study in the pool",
    "pool.deletion.confirm": "confirmed to delete a study in the pool",
    "pool.deletion.done": "deleted a study in the pool and proved it",
    "pool.peer": "entered the code of a partner",
    "pool.shipment": "took a shipment one step on",
    "practice.begin": "began to practise",
    "practice.end": "ended practising",
    "practice.invite": "invited to practise",
    "practice.set": "made a set to practise with",
    "practice.submit": "handed a practice case in",
    "practice.waive": "let somebody read without practising",
    "pull.add": "asked for images from the PACS",
    "pull.clear": "cleared the list of images to fetch",
    "pull.protocol.add": "made a rule for fetching images",
    "pull.protocol.remove": "removed a rule for fetching images",
    "pull.retry": "fetched again what had failed",
    "quarantine.correct": "set an object in quarantine right",
    "quarantine.delete": "deleted an object in quarantine",
    "quarantine.look": "looked at an object in quarantine",
    "quarantine.release": "tried an object in quarantine again",
    "query.answer": "answered a query about a report",
    "query.close": "closed a query about a report",
    "query.raise": "raised a query about a report",
    "reading.assign": "assigned readings",
    "reading.export": "exported answers",
    "reading.hand_over": "handed a reading over",
    "reading.protocol": "fixed a reading protocol",
    "relay.parcel": "passed a sealed parcel on",
    "release.out": "let a result out of the house",
    "report.addendum": "added to a signed report",
    "report.amend": "amended a signed report",
    "report.decide": "decided between reports",
    "report.sign": "signed a report",
    "review.ask": "put a release up for review",
    "review.decide": "decided a review",
    "run.end": "ended a run",
    "run.start": "started a run",
    "series.tag": "tagged series",
    "series.untag": "took tags from series",
    "session.close": "signed out",
    "session.open": "signed in",
    "site.add": "invited a site",
    "site.enrol": "enrolled a node",
    "site.join_code": "made a join code",
    "site.readiness": "reported a readiness test",
    "site.renew": "renewed a node's certificate",
    "site.resume": "let a site take part again",
    "site.suspend": "suspended a site",
    "study.answer": "answered questions of the application",
    "study.blocked": "stopped what nothing permits any more",
    "study.create": "made a study",
    "study.in_force": "put a version of a study in force",
    "study.remind": "reminded a site of its decision",
    "study.reminded": "was reminded of a decision",
    "study.request_sites": "asked sites to take part",
    "study.requested": "was asked to take part",
    "study.revise": "changed a study's definition",
    "study.standing": "said whether work may run at the site",
    "study.state": "was told a study's new state",
    "study.transition": "took a study one step on",
    "subject.reidentify": "saw who is behind a pseudonym",
    "subject.reidentify.ask": "asked who is behind a pseudonym",
    "subject.reidentify.agree": "agreed to name who is behind a pseudonym",
    "subject.reidentify.refuse": "refused to name who is behind a pseudonym",
    "subject.withdrawn": "told of a withdrawal",
    "template.release": "released a report template",
    "template.save": "saved a report template",
    "template.sign": "signed a report template",
    "track.changed": "decided at the site",
    "track.decide": "decided a step of a study at this site",
    "track.renew": "gave an approval again",
    "training.limits": "changed when trainings may run",
}
"""What somebody or a machine did, English, by the action of the audit entry."""

THINGS: Mapping[str, str] = {
    "account": "account",
    "answers": "all answers",
    "archive": "archive",
    "audit": "audit log",
    "basis": "legal basis",
    "biomarker": "biomarker",
    "clinical": "clinical data",
    "cohort": "cohort",
    "consent": "consent",
    "count": "protected count",
    "dataset": "dataset",
    "deletion": "deletion",
    "doubt": "doubtful identity",
    "envelope": "message",
    "fhir": "FHIR resource",
    "finding": "finding",
    "hl7": "HL7 message",
    "imaging-study": "imaging study",
    "instance": "image",
    "intake": "intake",
    "job": "job",
    "letter": "letter",
    "linkage": "linkage",
    "list": "list",
    "mapping": "table mapping",
    "model": "model",
    "order": "order",
    "page": "page",
    "parcel": "parcel",
    "pull": "fetching from the PACS",
    "quarantine": "object in quarantine",
    "query": "query",
    "reading-list": "reading list",
    "reading-protocol": "reading protocol",
    "reference-set": "reference set",
    "report": "report",
    "run": "run",
    "series": "image series",
    "session": "session",
    "shipment": "shipment",
    "site": "site",
    "study": "study",
    "subject": "subject",
    "tag": "tag",
    "template": "report template",
    "tombstone": "notice of a withdrawal",
}
"""What it was done to, English, by the first word of the entry's target."""


class AuditQuestion(BaseModel):
    """Which entries somebody wants to see; empty fields ask for all.

    Attributes
    ----------
    before
        Only entries with a smaller number.
    purpose
        Id of a study.
    actor, action, outcome
        As they stand in the entry.
    """

    before: Annotated[int | None, Field(ge=0, le=2**62)] = None
    purpose: Annotated[str, Field(max_length=120)] = ""
    actor: Annotated[str, Field(max_length=200)] = ""
    action: Annotated[str, Field(max_length=120)] = ""
    outcome: Annotated[str, Field(max_length=20)] = ""

    def wanted(self) -> dict[str, str | None]:
        """Return what the log is asked for; ``None`` for what may be anything."""
        return {
            name: getattr(self, name).strip() or None for name in ("purpose", "actor", "action", "outcome")
        }


def deed_text(action: str) -> str:
    """Say an action in English words; one that is not in the table is shown as it is."""
    return DEEDS.get(action, action)


def thing_text(target: str) -> tuple[str, str]:
    """Split the target of an entry into the kind of thing, in English words, and its name."""
    kind, _, name = target.partition("/")
    return (THINGS[kind], name) if kind in THINGS else ("", target)


def audit_words(asked: AuditQuestion, entries: Iterable[AuditEntry]) -> dict[str, Any]:
    """Return what the page of the audit log says beside its entries."""
    oldest = min((entry.seq for entry in entries), default=1)
    return {
        "asked": asked,
        "deeds": DEEDS,
        "deed_text": deed_text,
        "thing_text": thing_text,
        "outcomes": OUTCOMES,
        "older": oldest if oldest > 1 else None,
    }
