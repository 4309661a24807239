"""What Alembic runs: applying revisions needs no room; comparing them with the code needs every table registered."""

import importlib

from racoon.platform.database import metadata
from racoon.platform.migration_env import is_comparing, run

if is_comparing():
    importlib.import_module("racoon.central.app")
run(metadata("central"))
