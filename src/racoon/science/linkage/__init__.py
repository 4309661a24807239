"""Record linkage without identifiers: names in one form, keyed filters of a person, filters of two sites compared.

For sites that agreed on it and for the linkage unit, which is neither a site nor CENTRAL.  Pure: no files, no secrets
of its own.  Not here: who consented to be linked (``domain.consent``), and whose filter it is (``node.clinical``).
"""
