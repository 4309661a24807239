"""HL7 v2 messages as hospital systems send them: built from a few facts, with a stream of faulty ones."""

from __future__ import annotations

import random
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from racoon.domain.identity import PatientId
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.platform.database import Database
from racoon.standards.hl7v2.mllp import END, RETURN, START, frame

BEGAN = datetime(2024, 3, 1, 8, 0)  # noqa: DTZ001 - HL7 times mostly have no zone


def adt(
    event: str,
    number: str,
    control_id: str,
    *,
    at: datetime = BEGAN,
    visit: str = "",
    charset: str = "UNICODE UTF-8",
    merged: str = "",
    admitted: str = "",
    discharged: str = "",
    application: str = "KIS",
) -> bytes:
    """Build an ADT message."""
    stamp = at.strftime("%Y%m%d%H%M%S")
    structure = "ADT_A39" if event == "A40" else "ADT_A01"
    lines = [
        f"MSH|^~\\&|{application}|KLINIK|RACOON|ALPHA|{stamp}||ADT^{event}^{structure}|{control_id}|P|2.5||||||{charset}",
        f"EVN||{stamp}",
        f"PID|1||{number}^^^KH^PI~A123456780^^^GKV^NI||Müller^Änne^^^Dr.||19610517|F|||Gärtnerstr. 5^^Köln^^50667^DE",
    ]
    if merged:
        lines.append(f"MRG|{merged}^^^KH^PI")
    if visit:
        fields = {2: "I", 3: "STAT1^Z2", 7: "123^Arzt^Özlem", 19: visit, 44: admitted, 45: discharged}
        lines.append("|".join(["PV1", *(fields.get(place, "") for place in range(1, 46))]))
    return _encoded(lines, charset)


def unlink(first: str, second: str, control_id: str, *, at: datetime = BEGAN) -> bytes:
    """Build an ADT^A37: two numbers are two patients again."""
    message = adt("A37", first, control_id, at=at).replace(b"ADT_A01", b"ADT_A37")
    return message + f"PID|2||{second}^^^KH^PI||Schmidt^Ole||19480102|M|||Weg 1^^Bonn^^53111^DE\r".encode()


def oru(
    number: str,
    control_id: str,
    *,
    at: datetime = BEGAN,
    order: str = "L1",
    visit: str = "",
    value: str = "7,5",
    status: str = "F",
    charset: str = "UNICODE UTF-8",
    extra: Sequence[str] = (),
) -> bytes:
    """Build an ORU message with a haemoglobin and a comment."""
    stamp = at.strftime("%Y%m%d%H%M%S")
    lines = [
        f"MSH|^~\\&|LIS|LABOR|RACOON|ALPHA|{stamp}||ORU^R01^ORU_R01|{control_id}|P|2.5||||||{charset}",
        f"PID|1||{number}^^^KH^PI||Müller^Änne",
    ]
    if visit:
        lines.append("|".join(["PV1", *({2: "I", 19: visit}.get(place, "") for place in range(1, 20))]))
    lines += [
        f"ORC|RE|{order}|F{order}",
        f"OBR|1|{order}|F{order}|BB^Blutbild^L|||{stamp}",
        f"OBX|1|NM|718-7^Hämoglobin^LN||{value}|g/dL^g/dl^UCUM|12.0-16.0|L|||{status}|||{stamp}",
        "OBX|2|TX|KOM^Kommentar^L||Frau Müller war nüchtern||||||F",
        *extra,
    ]
    return _encoded(lines, charset)


def orm(
    number: str, control_id: str, *, at: datetime = BEGAN, order: str = "R1", control: str = "NW"
) -> bytes:
    """Build an order."""
    stamp = at.strftime("%Y%m%d%H%M%S")
    lines = [
        f"MSH|^~\\&|KIS|KLINIK|RACOON|ALPHA|{stamp}||ORM^O01|{control_id}|P|2.3||||||8859/1",
        f"PID|1||{number}^^^KH^PI||Müller^Änne",
        f"ORC|{control}|{order}|||||||{stamp}",
        f"OBR|1|{order}||CTTH^CT Thorax für Frau Müller^L",
    ]
    return _encoded(lines, "8859/1")


def _encoded(lines: Sequence[str], charset: str) -> bytes:
    encoding = {"8859/1": "latin-1", "8859/15": "iso8859-15", "ASCII": "ascii"}.get(charset, "utf-8")
    return ("\r".join(lines) + "\r").encode(encoding, "replace" if encoding == "ascii" else "strict")


@dataclass(frozen=True)
class Sent:
    """One block of a stream, the code that has to be answered (empty where none can be), and whose it is."""

    block: bytes
    code: str
    patient: int = 0


def faulty_stream(seed: int, count: int, patients: int) -> list[Sent]:
    """Build a hospital's day with every fault: duplicates, out of order, wrong encodings, truncated, merges."""
    dice = random.Random(seed)
    made: list[Sent] = []
    kept: list[Sent] = []
    merged: set[int] = set()
    for index in range(count):
        patient = dice.randrange(patients)
        number, control_id = f"P{patient:05d}", f"M{index:06d}"
        # One in five tells something that happened up to two hours before what came already.
        late = timedelta(minutes=dice.randrange(120)) if dice.random() < 0.2 else timedelta()
        at = BEGAN + timedelta(seconds=7 * index) - late
        fault = dice.random()
        if fault < 0.06 and kept:
            made.append(dice.choice(kept))
            continue
        if fault < 0.09:
            message = adt("A08", number, control_id, at=at, visit=f"V{patient}", charset="UNICODE UTF-8")
            wrong = message.replace(b"UNICODE UTF-8", dice.choice([b"ASCII", b"8859/1", b"KLINGON"]))
            made.append(Sent(frame(wrong), "AE"))
            continue
        if fault < 0.12:
            message = adt("A01", number, control_id, at=at, visit=f"V{patient}")
            made.append(Sent(bytes([START]) + message[: dice.randrange(5, len(message))], ""))
            continue
        if fault < 0.13:
            made.append(Sent(b"noise\r\n" + frame(b"no message at all %d" % index), "AR"))
            continue
        if fault < 0.15 and patient + 1 < patients and patient not in merged:
            # Into a number of its own, so that no two merges contradict each other; chains come about by themselves.
            merged.add(patient)
            message = adt("A40", f"P{patient + 1:05d}", control_id, at=at, merged=number)
        elif fault < 0.6:
            event = dice.choice(["A01", "A02", "A03", "A08", "A11", "A13"])
            message = adt(
                event,
                number,
                control_id,
                at=at,
                visit=f"V{patient}",
                charset=dice.choice(["UNICODE UTF-8", "8859/1", "8859/15"]),
            )
        elif fault < 0.9:
            order = f"L{patient}-{dice.randrange(20)}"
            message = oru(
                number,
                control_id,
                at=at,
                order=order,
                visit=f"V{patient}",
                value=f"{dice.randrange(60, 160) / 10}",
            )
        else:
            message = orm(
                number,
                control_id,
                at=at,
                order=f"R{patient}-{dice.randrange(9)}",
                control=dice.choice(["NW", "CA"]),
            )
        kept.append(Sent(frame(message), "AA", patient))
        made.append(kept[-1])
    return made


Course = tuple[list[tuple[str, str]], list[tuple[str, float]], list[tuple[str, str]]]
"""Of visits, values and orders: the patient's number after all merges, and what stands there."""

_STATES = {
    "A01": "in-progress",
    "A02": "in-progress",
    "A13": "in-progress",
    "A03": "finished",
    "A11": "cancelled",
}


def expected_course(stream: Sequence[Sent]) -> Course:
    """Say what has to stand there after a stream, from nothing but its texts: the latest event of each thing."""
    leads_to: dict[str, str] = {}
    visits: dict[str, tuple[str, str, str]] = {}
    values: dict[str, tuple[str, str, float]] = {}
    orders: dict[str, tuple[str, str, str]] = {}
    for item in stream:
        if item.code != "AA":
            continue
        lines = {
            line[:3]: line.split("|")
            for line in item.block.decode("latin-1").strip("\x0b\x1c\r").split("\r")[::-1]
        }
        at, event = lines["MSH"][6], lines["MSH"][8].split("^")[1]
        number = lines["PID"][3].split("^")[0]
        if event == "A40":
            leads_to[lines["MRG"][1].split("^")[0]] = number
        elif event == "R01":
            order = lines["ORC"][2]
            if at >= values.get(order, ("", "", 0.0))[1]:
                values[order] = (number, at, float(lines["OBX"][5]))
        elif event == "O01":
            order = lines["ORC"][2]
            if at >= orders.get(order, ("", "", ""))[1]:
                orders[order] = (number, at, "active" if lines["ORC"][1] == "NW" else "revoked")
        else:
            visit = lines["PV1"][19]
            state = _STATES.get(event, "unknown")
            before = visits.get(visit, (number, "", "unknown"))
            if state != "unknown" and at >= before[1]:
                visits[visit] = (number, at, state)
            else:
                visits[visit] = before

    def last(number: str) -> str:
        while number in leads_to:
            number = leads_to[number]
        return number

    return (
        sorted((last(number), state) for number, _, state in visits.values()),
        sorted((last(number), value) for number, _, value in values.values()),
        sorted((last(number), state) for number, _, state in orders.values()),
    )


def found_course(database: Database, names: Pseudonymiser, patients: int) -> Course:
    """Read what stands there, in the patients' own numbers."""
    number_of = {
        names.pseudonym(PatientId(f"P{patient:05d}"), is_merged=False): f"P{patient:05d}"
        for patient in range(patients)
    }
    with database.connect() as connection:
        visits = connection.exec_driver_sql("SELECT pseudonym, status FROM clinical_encounter").all()
        values = connection.exec_driver_sql("SELECT pseudonym, value_number FROM clinical_observation").all()
        orders = connection.exec_driver_sql(
            "SELECT pseudonym, json_extract(content, '$.status') FROM clinical_resource WHERE kind = 'ServiceRequest'"
        ).all()
    return (
        sorted((number_of[row[0]], row[1]) for row in visits),
        sorted((number_of[row[0]], row[1]) for row in values),
        sorted((number_of[row[0]], row[1]) for row in orders),
    )


class Caller:
    """One connection of a sending system."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        if tls is not None:
            self._socket = tls.wrap_socket(self._socket, server_hostname="localhost")
        self._rest = b""

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._socket.sendall(data)

    def answer(self) -> bytes:
        """Wait for one answer."""
        ending = bytes([END, RETURN])
        while ending not in self._rest:
            found = self._socket.recv(1 << 16)
            if not found:
                raise ConnectionError("closed without an answer")
            self._rest += found
        block, _, self._rest = self._rest.partition(ending)
        return block.lstrip(bytes([START]))

    def code(self) -> str:
        """Wait for one answer and return its code."""
        return self.answer().split(b"\rMSA|")[1][:2].decode()

    def exchange(self, message: bytes) -> str:
        """Send a message and return the code of its answer."""
        self.send(frame(message))
        return self.code()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()
