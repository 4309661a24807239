"""What runs once for the network: CENTRAL, the one coordinating server.

It registers sites, keeps studies and their states, offers signed jobs, pools what sites released and shows
results.
It can ask; only a site can allow.  It never sees an image, a header or a name of a patient, and never dials
a node.
Contexts inside use each other's ``service``; ``app`` alone plugs in routes and workers.
"""
