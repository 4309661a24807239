"""What one may ask about messages, runs and artefacts.

``mail`` keeps signed messages for each node, ``runs`` follows one execution across sites, ``artifacts`` keeps
files that travel beside messages.  What a study may do is decided in ``central.studies``, not here.
"""

from racoon.central.orchestration.service.artifacts import Artifacts
from racoon.central.orchestration.service.mail import Mail
from racoon.central.orchestration.service.runs import Runs

__all__ = ["Artifacts", "Mail", "Runs"]
