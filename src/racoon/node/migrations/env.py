"""What Alembic runs: applying revisions needs no room; comparing them with the code needs every table registered."""

import importlib

from racoon.platform.database import metadata
from racoon.platform.migration_env import is_comparing, run

if is_comparing():
    for part in ("background", "pages", "pushing", "shelving"):
        importlib.import_module(f"racoon.node.app.{part}")
run(metadata("node"))
