"""The page of messages: who may decide, what a decision does, in both languages, and nothing of any patient."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from racoon.node.app.messages import inbox_folder, open_worker
from racoon.node.clinical.hl7.inbox import Inbox
from racoon.node.settings import load_node_settings
from racoon.platform.settings import ConfigurationError
from racoon.standards.hl7v2.mllp import Block
from tests.hl7_messages import adt, oru
from tests.node_rooms import NodeInProcess
from tests.unit.node.clinical.hl7.conftest import SENDERS


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeInProcess]:
    found = NodeInProcess(tmp_path)
    yield found
    found.close()


def test_page_shows_reasons_and_takes_decisions(node: NodeInProcess) -> None:
    inbox = Inbox(inbox_folder(node.settings))
    desk = node.app.state.messages
    wrong = adt("A08", "4711", "M1", charset="8859/1").replace(b"8859/1", b"ASCII")
    messages = [
        adt("A01", "4711", "M2", visit="V1"),
        adt("A01", "4712", "M3", visit="V1"),
        oru("4712", "M4"),
        wrong,
    ]
    inbox.take([desk._door.judge(Block("message", item), SENDERS) for item in messages])
    worker = open_worker(node.settings, node.rooms.database, node.rooms.audit, node.names)
    assert worker.work_off() == 1
    held, refused = (item.number for item in inbox.open_messages())
    person, reader = node.person("site_informatician"), node.person("dpo")
    page = person.get("/intake/messages").text
    assert "A visit, an order or a value was another patient" in page
    assert "The bytes are not in the encoding" in page
    assert "keeps its patient waiting" in page
    german = person.get("/intake/messages", headers={"Accept-Language": "de"}).text
    assert "Die Bytes haben nicht die Kodierung" in german
    for shown in (page, german):
        assert not any(word in shown for word in ("4711", "4712", "Müller", "M1", "M3", "V1", "Gärtner"))
    assert 'name="decision"' not in reader.get("/intake/messages").text
    assert reader.post("/intake/messages", data={"decision": "dismiss", "ids": held}).status_code == 403
    assert person.post("/intake/messages", data={"decision": "again"}).status_code == 400
    assert person.post("/intake/messages", data={"decision": "again", "ids": refused}).status_code == 200
    assert [item.times for item in inbox.open_messages() if item.number == refused] == [2]
    done = person.post("/intake/messages", data={"decision": "dismiss", "ids": [held, refused]})
    assert "2 messages no longer wait here." in done.text
    assert worker.work_off() == 1, "the value behind the dismissed visit goes on"
    assert "No message waits for a decision." in person.get("/intake/messages").text
    with node.rooms.database.connect() as connection:
        actions = [row.action for row in connection.exec_driver_sql("SELECT action FROM audit ORDER BY seq")]
    assert [action for action in actions if action.startswith("hl7.")] == [
        "hl7.try_again",
        "hl7.dismiss",
        "hl7.dismiss",
    ]
    (gauge,) = [item for item in node.app.state.metrics.collect() if item.name == "racoon_hl7_messages"]
    assert {sample.labels["state"]: sample.value for sample in gauge.samples} == {
        "waiting": 0.0,
        "held": 0.0,
        "refused": 0.0,
    }
    inbox.close()


def test_settings_of_the_guide_are_settings(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[5] / "docs/how-to/take-in-messages.md").read_text("utf-8")
    config = tmp_path / "node.toml"
    text = guide.split("```toml\n")[1].split("```")[0]
    config.write_text(f'site = "ALPHA"\ndata_directory = "{tmp_path}"\n{text}', "utf-8")
    found = load_node_settings(config).hl7
    assert (found.port, [item.name for item in found.senders]) == (2575, ["KIS"])


@pytest.mark.parametrize(
    "text",
    ["port = 2575", 'port = 2575\ndefault_encoding = "KLINGON"', 'authority = "a.pem"'],
)
def test_wrong_settings_stop_the_node_at_boot(tmp_path: Path, text: str) -> None:
    config = tmp_path / "node.toml"
    config.write_text(f'site = "ALPHA"\ndata_directory = "{tmp_path}"\n[hl7]\n{text}\n', "utf-8")
    with pytest.raises(ConfigurationError):
        load_node_settings(config)
