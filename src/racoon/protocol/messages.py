"""The forms of all messages, by type and direction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from racoon.errors import Defect
from racoon.protocol.addresses import PeopleUrl

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
PublicText = Annotated[str, StringConstraints(max_length=500)]
Count = Annotated[int, Field(ge=0)]
JobKind = Literal["count", "freeze", "measure", "analyse", "train.local", "train.federated", "evaluate"]


class Message(BaseModel):
    """Root of all messages: no field beyond the listed ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StudyOffer(Message):
    """CENTRAL asks a site to consider a study; sets the site's track to ``requested`` and no further."""

    study_id: Id
    study_hash: Sha256
    definition: dict[str, Any]
    requested_by: PublicText


class StudyState(Message):
    """CENTRAL tells a site the study's state; ``data_hold`` and end states stop reads at once."""

    study_id: Id
    study_hash: Sha256
    state: Annotated[str, StringConstraints(max_length=32)]
    reason: PublicText = ""


class StudyReminder(Message):
    """CENTRAL reminds a site that one of its own decisions waits; nothing changes by it."""

    study_id: Id
    study_hash: Sha256
    waiting_since: AwareDatetime
    sent_at: AwareDatetime


class JobOffer(Message):
    """CENTRAL asks for one unit of work.  The site decides.

    Attributes
    ----------
    plan_hash
        Hash of the plan in ``parameters``; must be one the approved study names (``None`` for count and freeze).
    content_hash
        SHA-256 of the canonical JSON of kind and parameters: what an approval at the site can name exactly.
    not_after
        The job must not start later.
    """

    job_id: Id
    run_id: Id
    study_id: Id
    study_hash: Sha256
    kind: JobKind
    plan_hash: Sha256 | None
    content_hash: Sha256
    parameters: dict[str, Any]
    not_after: AwareDatetime


class JobCancel(Message):
    """CENTRAL no longer wants a job."""

    job_id: Id
    reason: PublicText = ""


class AuditAnchor(Message):
    """The newest hash of the sender's audit chain, kept at the other side."""

    sequence: Count
    hash: Sha256


class Heartbeat(Message):
    """How the node is, in numbers that tell nothing about a patient.

    Attributes
    ----------
    people_url
        Where people of the site open its pages; CENTRAL links to it for those with rights there.
    """

    version: Annotated[str, StringConstraints(max_length=40)]
    protocol: Annotated[str, StringConstraints(max_length=10)]
    sent_at: AwareDatetime
    uptime_s: Annotated[float, Field(ge=0)]
    disk_free_gb: Annotated[float, Field(ge=0)]
    memory_mb: Annotated[float, Field(ge=0)]
    jobs_waiting: Count
    jobs_running: Count
    intake_waiting: Count
    quarantined: Count
    certificate_expires_at: AwareDatetime
    archive_instances: Count | None = None
    archive_series: Count | None = None
    people_url: PeopleUrl | None = None


class ReadinessCheck(Message):
    """One part of the readiness test: which, whether it worked, and how long it took."""

    code: Literal["connection", "keys", "certificate", "intake", "measure", "count", "gate", "refusal"]
    is_ok: bool
    seconds: Annotated[float, Field(ge=0)]


class SiteReadiness(Message):
    """What the readiness test of a node found; it works on invented images, away from the site's archive.

    Attributes
    ----------
    policy_version
        Of the limits the test's results went through.
    """

    version: Annotated[str, StringConstraints(max_length=40)]
    tested_at: AwareDatetime
    policy_version: Annotated[str, StringConstraints(max_length=80)]
    checks: Annotated[list[ReadinessCheck], Field(max_length=20)]


class TrackChanged(Message):
    """A site's own decision on a study; the envelope's signature is the site's signature under it."""

    study_id: Id
    study_hash: Sha256
    source: Annotated[str, StringConstraints(max_length=32)]
    target: Annotated[str, StringConstraints(max_length=32)]
    actor_role: Annotated[str, StringConstraints(max_length=40)]
    decided_at: AwareDatetime
    public_reason: PublicText = ""
    version: Count


class SiteApproval(Message):
    """One decision that stands at a site: what, yes or no, since when and until when."""

    kind: Annotated[str, StringConstraints(max_length=32)]
    is_positive: bool
    decided_at: AwareDatetime
    valid_until: date | None = None


class SiteStanding(Message):
    """Whether work of a study may run at a site now, and if not, why; signed by the site like its decisions.

    Attributes
    ----------
    can_run
        Whether a job of an approved purpose would be allowed.
    code, public_reason
        The first thing that forbids it.
    approvals
        What the site has decided about this version of the study, with the last day of each decision.
    """

    study_id: Id
    study_hash: Sha256
    assessed_at: AwareDatetime
    can_run: bool
    code: Annotated[str, StringConstraints(max_length=80)] = ""
    public_reason: PublicText = ""
    approvals: Annotated[list[SiteApproval], Field(max_length=20)] = []


class JobAccepted(Message):
    """The site verified a job and put it into its queue."""

    job_id: Id
    run_id: Id


class JobRefused(Message):
    """The site does not run a job, and says why in public words."""

    job_id: Id
    run_id: Id
    code: Annotated[str, StringConstraints(max_length=80)]
    public_reason: PublicText


class EnvelopeRejected(Message):
    """A received envelope was refused before its job could even be named."""

    envelope_id: Annotated[str, StringConstraints(max_length=36)]
    code: Annotated[str, StringConstraints(max_length=80)]
    public_reason: PublicText


class JobProgress(Message):
    """How far a job is."""

    job_id: Id
    run_id: Id
    done: Count
    total: Count
    note: PublicText = ""


class Suppression(Message):
    """One value or part that the release gate held back, and why."""

    part: Annotated[str, StringConstraints(max_length=200)]
    code: Annotated[str, StringConstraints(max_length=80)]
    public_reason: PublicText


class JobResult(Message):
    """What the site's release gate let through.

    Attributes
    ----------
    release_id
        Number of the entry in the site's release ledger.
    payload
        Protected aggregates, by job kind.
    artifacts
        Hashes of files sent beside (model weights), by name.
    """

    job_id: Id
    run_id: Id
    kind: JobKind
    release_id: Id
    policy_version: Annotated[str, StringConstraints(max_length=40)]
    payload: dict[str, Any]
    suppressed: list[Suppression] = []
    artifacts: dict[str, Sha256] = {}


class JobFailed(Message):
    """A job ended with an error that repeating does not mend."""

    job_id: Id
    run_id: Id
    code: Annotated[str, StringConstraints(max_length=80)]
    public_message: PublicText


class SubjectWithdrawn(Message):
    """A tombstone: a subject's data may no longer be used, wherever they went.

    Attributes
    ----------
    tombstone_id
        The same when it is sent again; the receipt names it.
    subject
        The subject's name in this study only; nobody outside the study knows it.
    run_ids
        Runs of this study that trained on the subject's data: their models are to be marked.
    """

    tombstone_id: Id
    study_id: Id
    subject: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{1,4}-[A-Z0-9-]{8,60}$")]
    run_ids: list[Id] = []


class WithdrawalReceipt(Message):
    """The recipient of a tombstone has acted on it."""

    tombstone_id: Id
    received_at: AwareDatetime


class Letter(Message):
    """A closed letter from one node to another, which CENTRAL carries and cannot read (``protocol.letters``).

    Attributes
    ----------
    letter_id
        The same when it is sent again.
    sender, recipient
        Site codes; CENTRAL checks that one of them is the study's pool.
    box
        The closed letter, base64.
    """

    letter_id: Annotated[str, StringConstraints(max_length=36)]
    sender: Annotated[str, StringConstraints(max_length=16)]
    recipient: Annotated[str, StringConstraints(max_length=16)]
    study_id: Id
    box: Annotated[str, StringConstraints(max_length=100_000)]


class Direction(StrEnum):
    """Which way a message travels."""

    TO_NODE = "to_node"
    TO_CENTRAL = "to_central"


@dataclass(frozen=True)
class MessageType:
    """Direction and form of one message type."""

    direction: Direction
    form: type[Message]


MESSAGES: dict[str, MessageType] = {
    "study.offer": MessageType(Direction.TO_NODE, StudyOffer),
    "study.state": MessageType(Direction.TO_NODE, StudyState),
    "study.reminder": MessageType(Direction.TO_NODE, StudyReminder),
    "job.offer": MessageType(Direction.TO_NODE, JobOffer),
    "job.cancel": MessageType(Direction.TO_NODE, JobCancel),
    "subject.withdrawn.receipt": MessageType(Direction.TO_NODE, WithdrawalReceipt),
    "letter.delivered": MessageType(Direction.TO_NODE, Letter),
    "audit.anchor.central": MessageType(Direction.TO_NODE, AuditAnchor),
    "audit.anchor": MessageType(Direction.TO_CENTRAL, AuditAnchor),
    "heartbeat": MessageType(Direction.TO_CENTRAL, Heartbeat),
    "site.readiness": MessageType(Direction.TO_CENTRAL, SiteReadiness),
    "track.changed": MessageType(Direction.TO_CENTRAL, TrackChanged),
    "study.standing": MessageType(Direction.TO_CENTRAL, SiteStanding),
    "job.accepted": MessageType(Direction.TO_CENTRAL, JobAccepted),
    "job.refused": MessageType(Direction.TO_CENTRAL, JobRefused),
    "job.progress": MessageType(Direction.TO_CENTRAL, JobProgress),
    "job.result": MessageType(Direction.TO_CENTRAL, JobResult),
    "job.failed": MessageType(Direction.TO_CENTRAL, JobFailed),
    "subject.withdrawn": MessageType(Direction.TO_CENTRAL, SubjectWithdrawn),
    "letter": MessageType(Direction.TO_CENTRAL, Letter),
    "envelope.rejected": MessageType(Direction.TO_CENTRAL, EnvelopeRejected),
}
"""All message types of protocol 1.0."""


class MessageDefect(Defect):
    """A message does not have the form of its type."""

    code: ClassVar[str] = "protocol.malformed"


def parse_payload(message_type: str, payload: dict[str, Any], direction: Direction) -> Message:
    """Check a payload against the form of its type.

    Raises
    ------
    MessageDefect
        For an unknown type, the wrong direction, or a payload of another form; the message names the fields only.
    """
    known = MESSAGES.get(message_type)
    if known is None or known.direction is not direction:
        raise MessageDefect(
            "Message of a type that this recipient does not know.", code="protocol.unknown_type"
        )
    try:
        return known.form.model_validate(payload)
    except ValidationError as error:
        places = ", ".join(sorted({".".join(str(part) for part in item["loc"]) for item in error.errors()}))
        raise MessageDefect(f"Message of type {message_type} is malformed at: {places}.") from error
