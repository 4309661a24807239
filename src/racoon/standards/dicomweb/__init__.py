"""The language of DICOMweb (PS3.18): query strings, DICOM JSON, multipart bodies, media types.

It parses and writes messages; it opens no connection, reads no archive and grants no right.
Routes that speak it are in ``node.archive.http``; other rooms may use it to read a peer's answer.
Clauses are cited as of edition 2024 and later; the text did not change since.
Floor plan: part of ``standards``.
"""
