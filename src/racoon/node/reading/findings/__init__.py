"""Findings: marks that readers make on images, each with its place, meaning, numbers, author and time.

Every change is a new revision and an audit entry; nothing is overwritten, so undo is always possible.
Numbers are computed here by ``science.geometry`` from the archived pixels, never taken from a browser.
Floor plan: a part of ``node.reading``; asks ``archive.service``.
"""
