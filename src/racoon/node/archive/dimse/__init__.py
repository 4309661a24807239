"""The archive for DICOM tools without DICOMweb: C-FIND, C-GET and C-MOVE (PS3.4 annex C) over a port of its own.

For viewers and scripts inside the hospital that the site lists by name; each has the rights of one account, and what
it reads is audited under that account.  Nothing is stored here: images come in by ``node/intake`` only.
"""
