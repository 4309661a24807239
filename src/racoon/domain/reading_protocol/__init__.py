"""Reading protocols: what a study's reading asks for, as data that study staff write, version and check.

A protocol names the template, the series that are read, how they are first shown, how many people read each case,
whether a third person decides, the order, who is blinded to what, the labels of masks and which measured values propose
answers.  It names no persons: those come when a list is made from it.  ``model`` has the words, ``reading`` reads and
checks a document.  Not here: making lists and handing cases over (``node.reading.work``).
"""

from racoon.domain.reading_protocol.model import (
    MESSAGES,
    BadProtocol,
    Hanging,
    ProposalRule,
    ProtocolProblem,
    ReadingProtocol,
    SeriesRule,
)
from racoon.domain.reading_protocol.reading import protocol_of

__all__ = [
    "MESSAGES",
    "BadProtocol",
    "Hanging",
    "ProposalRule",
    "ProtocolProblem",
    "ReadingProtocol",
    "SeriesRule",
    "protocol_of",
]
