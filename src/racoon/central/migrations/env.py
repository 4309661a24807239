"""What Alembic runs: CENTRAL's tables are all registered once ``app`` is imported."""

import racoon.central.app  # noqa: F401  registers every table
from racoon.platform.database import metadata
from racoon.platform.migration_env import run

run(metadata("central"))
