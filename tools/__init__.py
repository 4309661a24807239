"""Tools of the workshop: set-up, import contracts, acceptance runner, documentation.

They are used from a clone (by the Makefile, the linter and the tests) and never shipped in the wheel.
What belongs to the product stands under ``src/racoon``.
"""
