"""What is wrong with an installation, and what to do about it.

Each check takes plain values (a folder, a port, an address) and returns findings; none of them changes
anything, none of them knows a role's settings.  ``racoon doctor`` puts them together for a node or CENTRAL.
It looks at the machine and the network only: studies, patients and images are checked in their own rooms.
"""

from racoon.platform.diagnosis.finding import Finding, State

__all__ = ["Finding", "State"]
