"""What the rule tables say, one sentence a rule: English here, other languages in the catalogues of the pages.

Where a sentence has a hole, it takes a number, a type or a code of a profile: never anything of a resource.
"""

from __future__ import annotations

NO_RESOURCE = "This is no FHIR resource: it has no resourceType."
NO_TABLE = "There is no table for this profile; only FHIR R4 was checked."
OTHER_TYPE = "The profile describes %(name)s, not this type of resource."
TOO_FEW = "The element must be there at least %(number)s time(s)."
TOO_MANY = "The element may be there at most %(number)s time(s)."
NOT_FIXED = "The element does not have the value the profile fixes."
NO_MEMBER = "The code is no member of %(name)s."
NO_SYSTEM = "There is no code of the system that %(name)s needs."
TARGETS = "The reference must name one of: %(names)s."
BAD_ID = "An id has 1 to 64 letters, digits, dots and hyphens."
UNKNOWN_ELEMENT = "There is an element that R4 does not know."
TOO_DEEP = "The resource nests too deep to be one."
EMPTY_OBJECT = "An object must not be empty (ele-1)."
EMPTY_LIST = "A list must not be empty."
EMPTY_TEXT = "A text must not be empty."
NO_INSTANT = "This is no instant: it needs a time and a time zone."
NO_DATE = "This is no FHIR date, or its time has no time zone."
NO_REFERENCE = "This is no reference that FHIR knows."
NO_UNIT_SYSTEM = "A quantity with a code needs its system (qty-3)."
NO_NUMBER = "The value of a quantity is a number."
NO_UID = "A DICOM UID is written as urn:oid:…."
BACKWARDS = "A period ends before it starts (per-1)."
NO_URL = "An extension needs its url."
VALUE_AND_PARTS = "An extension has a value or parts, not both (ext-1)."
NO_EXTENSION = "The imaging module has no extension of this name."
NOT_HERE = "The extension does not belong here."
NO_PART = "The part must be there."
PART_ONCE = "The part may be there once."
OTHER_VALUE = "The value must be a %(name)s."
COMPARED = "The quantity is a number without comparator."
OTHER_UNIT = "The %(name)s of the quantity must be %(fixed)s."
NOT_BARE = "The value is a bare UID."

SENTENCES = (
    NO_RESOURCE,
    NO_TABLE,
    OTHER_TYPE,
    TOO_FEW,
    TOO_MANY,
    NOT_FIXED,
    NO_MEMBER,
    NO_SYSTEM,
    TARGETS,
    BAD_ID,
    UNKNOWN_ELEMENT,
    TOO_DEEP,
    EMPTY_OBJECT,
    EMPTY_LIST,
    EMPTY_TEXT,
    NO_INSTANT,
    NO_DATE,
    NO_REFERENCE,
    NO_UNIT_SYSTEM,
    NO_NUMBER,
    NO_UID,
    BACKWARDS,
    NO_URL,
    VALUE_AND_PARTS,
    NO_EXTENSION,
    NOT_HERE,
    NO_PART,
    PART_ONCE,
    OTHER_VALUE,
    COMPARED,
    OTHER_UNIT,
    NOT_BARE,
)
"""All of them; those with holes are found again by what stands around the holes."""
