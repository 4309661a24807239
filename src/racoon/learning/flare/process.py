"""FLARE's own server or site process with our lifeline: ``python -m racoon.learning.flare.process server|site
KIT``.

FLARE's start scripts loop and sleep; this runs its main function directly, ends with its parent, and is
stopped by SIGTERM to its process id.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from racoon.learning.flare.policy import SITE_HEARTBEAT_S
from racoon.learning.lifeline import watch_parent


def main(arguments: list[str] | None = None) -> int:
    """Run until stopped."""
    parser = argparse.ArgumentParser(prog="racoon.learning.flare.process", description=__doc__)
    parser.add_argument("role", choices=("server", "site"))
    parser.add_argument("kit", type=Path, help="folder of the startup kit")
    parser.add_argument("--name", required=True, help="site code, or the server's identity")
    options = parser.parse_args(arguments)
    watch_parent()
    from nvflare.fuel.f3.mpm import MainProcessMonitor

    settings = ["secure_train=true", "config_folder=config"]
    kit = str(options.kit.resolve())
    if options.role == "server":
        from nvflare.private.fed.app.server import server_train as module

        config, extra = "fed_server.json", [f"org={'CENTRAL'}"]
    else:
        from nvflare.private.fed.app.client import client_train as module

        config = "fed_client.json"
        extra = [f"org={options.name}", f"uid={options.name}", f"heart_beat_interval={SITE_HEARTBEAT_S}"]
    sys.argv = [str(module.__file__), "-m", kit, "-s", config, "--set", *settings, *extra]
    return int(MainProcessMonitor.run(main_func=module.main, run_dir=kit, args=module.parse_arguments()) or 0)


if __name__ == "__main__":
    sys.exit(main())
