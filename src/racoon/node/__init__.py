"""What runs inside a hospital: the only place where images and pseudonyms live.

Each folder is one room with one job; rooms talk through each other's ``service`` and ``model``.
Nothing here speaks to the outside except ``link``, and only what ``release`` let through.
``app`` is the composition root: the only module that knows every room.
Floor plan: beside ``central`` (which it never imports), above ``web`` and ``platform``.
"""
