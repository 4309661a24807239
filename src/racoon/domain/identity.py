"""Who is who: sites, people's roles, and the two names a person in the data can have."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NewType

PatientId = NewType("PatientId", str)
"""Identifies a person in the hospital.  Never leaves ``node.pseudonyms`` and its few neighbours."""

Pseudonym = NewType("Pseudonym", str)
"""Stands for a subject in research data; another type than PatientId so that mixing them fails in the type check."""

SiteCode = NewType("SiteCode", str)
"""Short stable code of an institution, e.g. ``"ALPHA"``."""

SITE_CODE_PATTERN = re.compile(r"[A-Z][A-Z0-9_]{1,15}")
"""Upper case so that it can be an AE title part, a certificate's common name and a folder name everywhere."""


class Role(StrEnum):
    """Roles of the network, of a site and of a study; no others exist."""

    RESEARCHER = "researcher"
    COORDINATOR = "coordinator"
    ETHICS_OFFICE = "ethics_office"
    ADMIN_CENTRAL = "admin_central"
    AUDITOR = "auditor"
    SITE_INFORMATICIAN = "site_informatician"
    DIZ = "diz"
    UAC_MEMBER = "uac_member"
    UAC_CHAIR = "uac_chair"
    DPO = "dpo"
    READER = "reader"
    DATA_MANAGER = "data_manager"
    STUDY_NURSE = "study_nurse"
    PRINCIPAL_INVESTIGATOR = "principal_investigator"
    DEPUTY = "deputy"
    DATA_SCIENTIST = "data_scientist"
    MONITOR = "monitor"


def is_site_code(text: str) -> bool:
    """Tell whether a text can be a site code."""
    return SITE_CODE_PATTERN.fullmatch(text) is not None
