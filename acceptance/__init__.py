"""The long acceptance lists of the issues, one module each, run by ``make acceptance ISSUE=…``.

A module ``acceptance/<issue>.py`` (lower case) names its ``TITLE`` and its ``STEPS``; it holds no logic
beyond what a step needs.  Short seeded samples of the same checks stand in ``tests``.
"""
