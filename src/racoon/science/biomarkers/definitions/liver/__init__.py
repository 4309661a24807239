"""Liver on unenhanced CT: density, ratio to the spleen, estimated fat fraction.

A file holds one definition, under its id.
Not here: volumes of organs (``structure``).
"""
