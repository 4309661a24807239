"""The command ``racoon``: parses, calls, prints; nothing else.

It stands on top of the floor plan and may import every room, but does so only inside the body of the command
that needs it, so that ``racoon --help`` answers at once.  It decides nothing about images or studies.
Exit codes are a table in ``cli/failures.py``; every command takes ``--json``.
"""

from racoon.cli.app import main

__all__ = ["main"]
