"""Fetch examinations from a PACS by accession number or study protocol, at night and not too many a day.

What is fetched goes into the same spool as what a scanner sends.  The work list is a file of its own: accession
numbers name patients, and nothing else at the node may hold them.  It does not choose whom to fetch: a person does.
Floor plan: part of ``node.intake``; the only part of it that calls out, and only to the site's own PACS.
"""
