"""Vertebrae: trabecular density, mineral density, loss of height.

A file holds one definition, under its id.
Not here: volume of bone by HU interval (``composition``).
"""
