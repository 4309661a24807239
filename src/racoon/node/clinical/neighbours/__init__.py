"""Neighbouring networks: who of their cohort is here, in their codes for persons, sites and visits, and back.

Transfers to them are named pieces: who is chosen, what of them, under which names, and who takes it.
Not here: whether somebody may be read (``consent``), and anything that leaves through CENTRAL (``release``).
"""
