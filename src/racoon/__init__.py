"""RACOON: open research infrastructure for multicentre, image-based studies in radiology.

One package, three roles: ``node`` inside a hospital, ``central`` for the network, ``demo`` for a whole country on a
laptop.  The folders are places and languages; ``README.md`` beside this file is the floor plan.
Research use only: not a medical device.
"""

__version__ = "0.1.0"
