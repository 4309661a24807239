"""The rules of every profile in use, as tables, and the checker that reads them.

A table names what a profile demands: cardinality, fixed values, slices, bindings, invariants, extensions.  It is no
full validator: terminology beyond small value sets is checked by its shape only, and a site that has the official
validator may run it beside.
Not here: how resources are built (``standards.fhir``) and what reading tolerates (``standards.fhir.reading``).
"""
