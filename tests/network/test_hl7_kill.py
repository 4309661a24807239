"""The listener's own process is killed (SIGKILL) in the middle of a stream: what was answered is there, once."""

from __future__ import annotations

import multiprocessing
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import sqlalchemy as sa

from racoon.node.app.administration import prepare
from racoon.node.app.messages import inbox_folder, open_worker
from racoon.node.app.rooms import open_pseudonyms
from racoon.node.clinical import _store
from racoon.node.clinical.hl7.inbox import Inbox
from racoon.node.settings import NodeSettings, load_node_settings
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database
from racoon.standards.hl7v2.mllp import frame
from tests.hl7_listener import listen
from tests.hl7_messages import Caller, oru
from tests.waiting import eventually

MESSAGES, KILLS, AHEAD = 240, 2, 20

FORKS = multiprocessing.get_context("forkserver")
"""As the supervisor does: what a process needs is imported once, then each one is forked from it."""

FORKS.set_forkserver_preload(["tests.hl7_listener"])


@contextmanager
def listener(config: Path, port: int) -> Iterator[ForkServerProcess]:
    """Run the process ``hl7`` of a node until it is killed."""
    process = FORKS.Process(target=listen, args=(config,))
    process.start()

    def is_open() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        eventually(is_open, timeout_s=60, what="an open port")
        yield process
    finally:
        process.kill()
        process.join()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def settings_of(folder: Path, port: int) -> tuple[Path, NodeSettings]:
    config = folder / "node.toml"
    sender = '[[hl7.senders]]\nname = "LIS"\naddresses = ["127.0.0.1"]\n'
    config.write_text(f'site = "ALPHA"\ndata_directory = "data"\n[hl7]\nport = {port}\n{sender}', "utf-8")
    settings = load_node_settings(config)
    prepare(settings)
    return config, settings


def test_killed_listener_loses_nothing_it_acknowledged_and_doubles_nothing(tmp_path: Path) -> None:
    port = free_port()
    config, settings = settings_of(tmp_path, port)
    blocks = [
        frame(oru(f"P{index % 7}", f"M{index}", order=f"L{index}", value=str(index)))
        for index in range(MESSAGES)
    ]
    acknowledged: set[int] = set()
    sent_again = 0
    for kill in range(KILLS + 1):
        with listener(config, port) as process:
            caller = Caller(port)
            goal = MESSAGES if kill == KILLS else MESSAGES * (kill + 1) // (KILLS + 1)
            waiting = [index for index in range(MESSAGES) if index not in acknowledged]
            while waiting and len(acknowledged) < goal:
                part, waiting = waiting[:AHEAD], waiting[AHEAD:]
                caller.send(b"".join(blocks[index] for index in part))
                for place, index in enumerate(part):
                    if kill < KILLS and len(acknowledged) >= goal - AHEAD // 2 and place:
                        # Blocks are on their way, some stored, some answered, none of it known here.
                        process.kill()
                        sent_again += len(part) - place
                        break
                    assert caller.code() == "AA"
                    acknowledged.add(index)
                else:
                    continue
                break
            caller.close()
        if kill < KILLS:
            inbox = Inbox(inbox_folder(settings))
            stored = inbox.counts()["waiting"]
            inbox.close()
            assert stored >= len(acknowledged), "something that was acknowledged is not there"
    assert sent_again, "the listener was never killed in the middle"
    assert len(acknowledged) == MESSAGES
    names, database = open_pseudonyms(settings), Database(settings.database)
    worker = open_worker(settings, database, AuditLog("node"), names)
    total = 0
    while done := worker.work_off():
        total += done
    with database.connect() as connection:
        values = sorted(connection.execute(sa.select(_store.observation.c.value_number)).scalars())
    names.close()
    database.dispose()
    assert total == MESSAGES, "what was sent again is one message"
    assert values == [float(index) for index in range(MESSAGES)]
