"""Lungs: density, emphysema, aeration, opacities, severity scores, effusions.

A file holds one definition, under its id.
Not here: nodules (``lesion``).
"""
