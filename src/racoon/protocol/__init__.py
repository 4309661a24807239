"""Every message that crosses the hospital wall: versioned, typed, signed, with JSON Schema.

Nodes only dial out; they post signed envelopes and poll for theirs.  No message has a field that could hold an image,
a header or a name of a patient.  What the words in a message mean is decided in ``domain``; who sends them is
``node.link`` and ``central.orchestration``.
"""

from racoon.protocol.envelope import PROTOCOL_VERSION, Envelope, seal, verify
from racoon.protocol.messages import MESSAGES, Direction, parse_payload

__all__ = ["MESSAGES", "PROTOCOL_VERSION", "Direction", "Envelope", "parse_payload", "seal", "verify"]
