"""``python -m racoon``: the same command as ``racoon``, for environments without the script on the path."""

import sys

from racoon.cli import main

if __name__ == "__main__":
    sys.exit(main())
