"""Feasibility: how many subjects fit a study's cohort, from protected counts of the sites.

Sites protect their counts themselves; here they are only added, and below three answers no table by site is
shown.
Not here: the definition language (``domain.cohort``) and counting itself, which happens at the nodes.
"""
