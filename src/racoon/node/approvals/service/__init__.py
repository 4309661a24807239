"""What one may ask the site's decisions.

``records`` is the technical gate over the site's own signed records; ``decisions`` receives what CENTRAL says and lets
people decide; ``local`` is the site's own process beside the network's track.
"""

from racoon.node.approvals.service.decisions import Announce, Approvals, Listener, StudyOfferDefect

__all__ = ["Announce", "Approvals", "Listener", "StudyOfferDefect"]
