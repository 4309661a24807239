"""Pooled studies from the console and by API: as a person with an account, and only as far as the roles go."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from racoon.cli import main
from racoon.cli.failures import REFUSED
from racoon.cli.node_pool import PASSWORD_VARIABLE
from racoon.platform.auth import AccountStore
from tests.node_rooms import PASSWORD, NodeInProcess
from tests.pooled_network import PooledNetwork


@pytest.fixture
def pooled(tmp_path: Path) -> Iterator[PooledNetwork]:
    network = PooledNetwork(tmp_path)
    network.introduce()
    network.released_study()
    yield network
    network.close()


@contextmanager
def served(node: NodeInProcess, folder: Path) -> Iterator[Path]:
    """Serve a node's pages on loopback; gives a configuration file that names the port."""
    server = uvicorn.Server(
        uvicorn.Config(node.app, host="127.0.0.1", port=0, log_level="error", lifespan="off")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    config = folder / f"{node.site}.toml"
    config.write_text(
        f'site = "{node.site}"\ndata_directory = "{node.folder / "data"}"\n[http]\nport = {port}\n', "utf-8"
    )
    try:
        yield config
    finally:
        server.should_exit = True
        thread.join(10)


def account(node: NodeInProcess, name: str, *roles: str) -> None:
    AccountStore("node").create(node.rooms.database, name, PASSWORD, roles)


def test_export_status_receive_and_delete_by_two_people(
    pooled: PooledNetwork, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    site, pool = pooled.site.node, pooled.pool.node
    account(site, "ina", "site_informatician")
    account(site, "rita", "reader")
    account(site, "dora", "dpo")
    account(pool, "mo", "data_manager")
    account(pool, "pia", "dpo")
    account(pool, "rolf", "reader")

    def run(config: Path, *words: str, user: str) -> tuple[int, Any]:
        code = main(["node", "pool", *words, "--config", str(config), "--user", user, "--json"])
        said = capsys.readouterr()
        return code, json.loads(said.out or said.err)

    study_id = pooled.study_id
    with served(site, tmp_path) as at_site, served(pool, tmp_path) as at_pool:
        for words in (("status",), ("receive",), ("export", study_id, "--reason", "x")):
            code, refused = run(at_site, *words, user="rita")
            assert code == REFUSED, (words, refused)
        code, _ = run(at_pool, "delete", study_id, "--reason", "x", user="rolf")
        assert code == REFUSED
        assert run(at_site, "export", "RS-9999", "--reason", "x", user="ina")[0] == REFUSED
        code, asked = run(at_site, "export", study_id, "--reason", "central evaluation", user="ina")
        assert (code, asked["state"]) == (0, "waits for a review")
        pooled.review(asked["shipment"])
        pooled.exchange()
        code, shown = run(at_site, "status", user="ina")
        assert (code, [item["state"] for item in shown["sent"]]) == (0, ["received"])
        code, came = run(at_pool, "receive", user="mo")
        assert (code, [(item["state"], item["objects"]) for item in came]) == (0, [("stored", 10)])
        assert run(at_pool, "delete", study_id, "--reason", "too early", user="mo")[0] == REFUSED
        pooled.network.step(study_id, "pi", "withdrawn", {"comment": "no funding"})
        pooled.exchange()
        code, first = run(at_pool, "delete", study_id, "--reason", "the study is closed", user="mo")
        assert (code, first["state"]) == (0, "asked")
        assert run(at_pool, "delete", study_id, "--reason", "again", user="mo")[0] == REFUSED
        code, second = run(at_pool, "delete", study_id, "--reason", "the study is closed", user="pia")
        assert (code, second["state"]) == (0, "confirmed")
        pooled.exchange()
        assert pool.rooms.archive.counts().series == 0
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(PASSWORD_VARIABLE, "wrong horse")
            assert run(at_site, "status", user="ina")[0] != 0


def test_a_review_is_decided_by_api_and_not_by_who_asked(pooled: PooledNetwork) -> None:
    node = pooled.site.node
    asker, reviewer = node.person("site_informatician", "dpo"), node.person("dpo")
    body = {"study_id": pooled.study_id, "reason": "central evaluation"}
    assert node.person("reader").post("/api/pool/exports", json=body).status_code == 403
    answer = asker.post("/api/pool/exports", json=body)
    assert answer.status_code == 201, answer.text
    (waiting,) = reviewer.get("/api/reviews").json()
    path = f"/api/reviews/{waiting['review_id']}/decision"
    assert asker.post(path, json={"accept": True, "reason": "mine"}).status_code in (403, 409)
    said = reviewer.post(path, json={"accept": False, "reason": "The annex is missing."})
    assert said.status_code == 200, said.text
    assert reviewer.post(path, json={"accept": True, "reason": "again"}).status_code in (403, 409)
