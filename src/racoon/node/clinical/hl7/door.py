"""What is said of a message at the door: read, refused with its reason, or of no use; and what is answered."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Sequence
from datetime import tzinfo

from racoon.node.clinical.hl7.inbox import Arrival, Receipt
from racoon.node.clinical.hl7.model import REASONS, HeldMessage, SenderOptions, State
from racoon.node.clinical.hl7.reading import AT_THE_DOOR, kind_of, numbers_of
from racoon.platform import clock
from racoon.standards.hl7v2.answering import AckCode, acknowledge
from racoon.standards.hl7v2.message import UnreadableMessage, parse_message, read_header
from racoon.standards.hl7v2.mllp import Block

NOT_TAKEN_AT_ALL = frozenset(
    {"unknown_sender", "too_large", "truncated", "no_header", "no_type", "no_control_id"}
)
"""Answered AR; what was read and has something wrong in it is answered AE (chapter 2.9.2.2)."""

UNKNOWN = "?"
"""Shown where the sender's address is known and MSH-3 or MSH-4 is not."""


class Door:
    """Judges messages by the settings; stores nothing.

    Parameters
    ----------
    senders
        Who may send.
    default_encoding
        For messages with an empty MSH-18.
    authority
        Assigning authority of the number in the images.
    site
        Who answers.
    zone
        Of the answers' times.
    """

    def __init__(
        self, senders: Sequence[SenderOptions], default_encoding: str, authority: str, site: str, zone: tzinfo
    ) -> None:
        self._senders = [
            (item, [ipaddress.ip_network(address, strict=False) for address in item.addresses])
            for item in senders
        ]
        self._default_encoding, self._authority = default_encoding, authority
        self._site, self._zone = site, zone

    def senders_at(self, address: str) -> list[SenderOptions]:
        """Return who may send from an address; empty for a stranger."""
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return []
        mapped = getattr(found, "ipv4_mapped", None)
        found = mapped if mapped is not None else found
        return [item for item, networks in self._senders if any(found in network for network in networks)]

    def judge(self, block: Block, senders: Sequence[SenderOptions]) -> Arrival:
        """Say what becomes of a block.

        Parameters
        ----------
        block
            As it came.
        senders
            Who may send from where it came.
        """
        header = read_header(block.data)
        sender = UNKNOWN
        if header is not None:
            named = header.text(3), header.text(4)
            wanted = [
                item
                for item in senders
                if item.application in ("", named[0]) and item.facility in ("", named[1])
            ]
            sender = wanted[0].name if wanted else UNKNOWN
        elif len(senders) == 1:
            sender = senders[0].name
        control_id = header.raw(10).strip() if header is not None else b""
        reason: str = block.kind if block.kind != "message" else ""
        if not reason and header is not None and sender == UNKNOWN:
            reason = "unknown_sender"
        if reason:
            return Arrival(sender, "", control_id, block.data, State.REFUSED, reason)
        return self.read(sender, block.data, control_id)

    def read(self, sender: str, data: bytes, control_id: bytes = b"") -> Arrival:
        """Read a message whose sender is known."""
        kind = ""
        try:
            message = parse_message(data, default_encoding=self._default_encoding, only=AT_THE_DOOR)
            kind = kind_of(message)
            if not kind:
                return Arrival(sender, "", control_id, data, State.LEFT_OUT)
            return Arrival(
                sender, kind, control_id, data, State.WAITING, patients=numbers_of(message, self._authority)
            )
        except (UnreadableMessage, HeldMessage) as error:
            return Arrival(sender, kind, control_id, data, State.REFUSED, error.reason)

    def answer(self, arrival: Arrival, receipt: Receipt) -> bytes:
        """Build the answer to a message that is stored."""
        code: AckCode = "AA"
        sentence = (
            "This control id was used before by another message; both are kept."
            if receipt.is_reused_id
            else ""
        )
        if receipt.state is State.REFUSED:
            code = "AR" if receipt.reason in NOT_TAKEN_AT_ALL else "AE"
            sentence = REASONS[receipt.reason]
        header = read_header(arrival.data)
        now = clock.now().astimezone(self._zone)
        return acknowledge(header, code, now, secrets.token_hex(8), sentence=sentence, site=self._site)
