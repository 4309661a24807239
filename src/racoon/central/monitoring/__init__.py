"""How the network is: heartbeats of all nodes, alerts for silent ones, anchors of their audit chains.

Numbers only, none of which tells anything about a patient.
Not here: what a site decided (``studies``) or computes (``orchestration``).
"""
