"""Record linkage across sites without identifiers: what a site makes of its patients, and what the linkage unit does.

Off unless a site runs it for a study.  The unit is run by somebody who is neither a site of the project nor CENTRAL; it
sees rows of bits, never a secret, and keeps nothing.
Not here: the arithmetic (``science.linkage``) and the messages (``protocol.linkage``).
"""
