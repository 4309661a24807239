"""Structured reports: FHIR Questionnaires answered beside the image, kept as drafts until their author signs.

Templates lie in ``templates``, one file per version; a report keeps the version it was begun with.  A number taken
from a finding is fetched here from the stored finding, never believed.  Not here yet: amendment and addendum.
Floor plan: a part of ``node.reading``; asks ``findings`` and ``archive.service``.
"""
