"""DICOM over its own port: the accepting side of the upper layer, and TLS for both sides.

For the rooms of a node that speak DIMSE.  It knows nothing of images: what a message means is the business of who
registers a handler.  Not for DICOMweb, which is HTTP.
"""
