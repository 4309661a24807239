"""What one may ask about studies.

``studies`` creates, revises, moves and ends them and keeps what sites decided; ``amendments`` brings a new version
into force while the old one stays valid; ``watch`` does what the clock does: holds and reminders.
"""

from racoon.central.studies.service.amendments import Amendments
from racoon.central.studies.service.studies import STOPPING_STATES, StaleStudy, Studies
from racoon.central.studies.service.watch import Watch

__all__ = ["STOPPING_STATES", "Amendments", "StaleStudy", "Studies", "Watch"]
