"""What one may ask about messages, runs and artefacts."""

from racoon.central.orchestration.service.artifacts import Artifacts
from racoon.central.orchestration.service.mail import Mail
from racoon.central.orchestration.service.runs import JobOrder, Runs

__all__ = ["Artifacts", "JobOrder", "Mail", "Runs"]
