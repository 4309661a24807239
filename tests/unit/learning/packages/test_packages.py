"""A package is what it says or is refused with the rule's code; nothing in it can carry code."""

from __future__ import annotations

import io
import json
import pickle  # noqa: TID251 - made here to be refused
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason='needs the extra: pip install "racoon[learning]"')

from racoon.domain.canonical import canonical_json
from racoon.learning.packages import PackageRefused, open_package, write_package
from racoon.learning.packages.card import read_card
from racoon.learning.packages.container import _DOMAIN, pack
from racoon.learning.packages.running import check_golden, require_signer
from racoon.learning.weights import decode_weights, encode_weights
from racoon.platform.certificates import public_key_text, sign
from tests.unit.learning.making import KEY, PLAN, STATEMENTS, make_package, trained_weights

pytestmark = pytest.mark.learning

Contents = dict[str, bytes]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_package(tmp_path_factory.mktemp("package"))


def read(path: Path) -> Contents:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def resign(contents: Contents, change: Callable[[dict], None] = lambda _: None) -> Contents:
    """What somebody with a key of their own would make: hashes and signature fit, only the content is bad."""
    import hashlib

    card = json.loads(contents["model.json"])
    for name in card["files"]:
        card["files"][name] = {
            "sha256": hashlib.sha256(contents[name]).hexdigest(),
            "size": len(contents[name]),
        }
    change(card)
    document = {**card}
    signature = {
        "algorithm": "Ed25519",
        "public_key": public_key_text(KEY),
        "signature": sign(KEY, _DOMAIN + canonical_json(document)),
    }
    return {
        **contents,
        "model.json": json.dumps(document).encode(),
        "signature.json": json.dumps(signature).encode(),
    }


def refused(tmp_path: Path, contents: Contents | bytes) -> str:
    path = tmp_path / "bad.racoon-model"
    path.write_bytes(contents if isinstance(contents, bytes) else pack(contents))
    with pytest.raises(PackageRefused) as caught:
        open_package(path)
    assert caught.value.kind == "refused"
    return caught.value.error_code


def test_a_package_opens_is_named_by_its_hash_and_repeats_its_golden_example(package: Path) -> None:
    found = open_package(package)
    assert package.name == f"{found.hash}.racoon-model"
    assert found.plan == PLAN
    assert found.signer == public_key_text(KEY)
    assert found.card.use.startswith("Research use only")
    weights = trained_weights()
    assert all(found.weights[name].tobytes() == weights[name].tobytes() for name in weights)
    golden = check_golden(package)
    assert golden["golden_difference"] <= found.card.golden_tolerance
    assert "sockets refused" in golden["isolation"]


def test_the_same_model_makes_the_same_bytes(package: Path, tmp_path: Path) -> None:
    assert make_package(tmp_path).read_bytes() == package.read_bytes()


def test_a_folder_with_the_four_files_is_a_package_too(package: Path, tmp_path: Path) -> None:
    for name, data in read(package).items():
        (tmp_path / name).write_bytes(data)
    assert open_package(tmp_path).hash == open_package(package).hash
    (tmp_path / "weights.safetensors").unlink()
    (tmp_path / "weights.safetensors").symlink_to("/etc/hostname")
    with pytest.raises(PackageRefused) as caught:
        open_package(tmp_path)
    assert caught.value.error_code == "package.path"


class _Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("code ran",))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_is_refused_by_content_and_never_run(
    package: Path, tmp_path: Path, protocol: int, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = {**read(package), "weights.safetensors": pickle.dumps(_Evil(), protocol)}
    assert refused(tmp_path, resign(evil)) == "package.code"
    assert capsys.readouterr().out == ""


def test_torch_and_torchscript_files_are_refused_by_content(package: Path, tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("model/code/__torch__.py", "import os")
    evil = {**read(package), "weights.safetensors": stream.getvalue()}
    assert refused(tmp_path, resign(evil)) == "package.code"


@pytest.mark.parametrize("name", ["model.pt", "hook.py", "weights.pkl", "sub/model.pth"])
def test_a_file_that_can_carry_code_is_refused_by_name(package: Path, tmp_path: Path, name: str) -> None:
    assert refused(tmp_path, {**read(package), name: b"x"}) == "package.code"


@pytest.mark.parametrize("name", ["../../etc/cron.d/x", "/etc/passwd", "a/../../b", "..\\x.json", "C:/x"])
def test_a_path_out_of_the_package_is_refused(package: Path, tmp_path: Path, name: str) -> None:
    assert refused(tmp_path, {**read(package), name: b"x"}) == "package.path"


def test_a_file_that_does_not_belong_or_is_missing_or_twice_is_refused(package: Path, tmp_path: Path) -> None:
    contents = read(package)
    assert refused(tmp_path, {**contents, "notes.txt": b"x"}) == "package.files"
    assert (
        refused(tmp_path, {k: v for k, v in contents.items() if k != "golden.safetensors"}) == "package.files"
    )
    stream = io.BytesIO(pack(contents))
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("model.json", contents["model.json"])
    assert refused(tmp_path, stream.getvalue()) == "package.files"


def test_an_oversize_file_is_refused_before_it_is_read(package: Path, tmp_path: Path) -> None:
    contents = read(package)
    assert refused(tmp_path, {**contents, "model.json": b" " * (2 << 20)}) == "package.too_large"
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            archive.writestr(name, b"\0" * (200 << 20) if name == "golden.safetensors" else data)
    assert len(bomb.getvalue()) < 5 << 20
    assert refused(tmp_path, bomb.getvalue()) in {"package.too_large", "package.files"}


def test_an_altered_card_or_a_foreign_signature_is_refused(package: Path, tmp_path: Path) -> None:
    contents = read(package)
    card = json.loads(contents["model.json"])
    card["licence"] = "mine now"
    assert refused(tmp_path, {**contents, "model.json": json.dumps(card).encode()}) == "package.signature"
    signature = json.loads(contents["signature.json"])
    signature["signature"] = signature["signature"][:-4] + "AAAA"
    assert (
        refused(tmp_path, {**contents, "signature.json": json.dumps(signature).encode()})
        == "package.signature"
    )
    assert refused(tmp_path, {**contents, "signature.json": b"{}"}) == "package.signature"


def test_other_weights_under_the_old_signature_are_refused(package: Path, tmp_path: Path) -> None:
    contents = read(package)
    weights = decode_weights(contents["weights.safetensors"])
    next(iter(weights.values())).flat[0] += np.float32(1e-3)
    assert refused(tmp_path, {**contents, "weights.safetensors": encode_weights(weights)}) == "package.hash"


def test_a_signer_who_is_not_on_the_list_is_refused(package: Path) -> None:
    found = open_package(package)
    require_signer(found, [found.signer])
    with pytest.raises(PackageRefused) as caught:
        require_signer(found, ["tHkf3mjWma1gvHS3INIC6jIAegd0Zb0MPBbrGNnAeMU"])
    assert caught.value.error_code == "package.signer"


def test_a_model_that_does_not_repeat_its_golden_example_is_refused(tmp_path: Path) -> None:
    from racoon.learning.inference import golden_example

    weights = trained_weights()
    images, scores = golden_example(PLAN, weights)
    path = write_package(tmp_path, PLAN, weights, (images, scores + np.float32(0.5)), STATEMENTS, KEY)
    open_package(path)
    with pytest.raises(PackageRefused) as caught:
        check_golden(path)
    assert caught.value.error_code == "package.golden"


def test_a_foreign_architecture_is_refused_by_name(package: Path, tmp_path: Path) -> None:
    def rename(card: dict) -> None:
        card["architecture"]["name"] = "os.system"
        card["plan"]["architecture"] = "os.system"

    assert refused(tmp_path, resign(read(package), rename)) == "package.architecture"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda card: card["plan"].update(rounds=0), "package.plan"),
        (lambda card: card["plan"].update(code="import os"), "package.plan"),
        (lambda card: card["input"].update(modality="MR"), "package.contradiction"),
        (
            lambda card: card["preprocessing"].append({"name": "eval", "parameters": {}}),
            "package.contradiction",
        ),
        (lambda card: card["labels"].pop(), "package.contradiction"),
        (lambda card: card.update(use="Clinical use"), "package.card"),
        (lambda card: card.update(extra=1), "package.card"),
        (lambda card: card.pop("licence"), "package.card"),
    ],
    ids=["rounds", "unknown word", "modality", "step", "labels", "use", "extra", "licence"],
)
def test_a_card_that_contradicts_its_plan_or_its_form_is_refused(
    package: Path, tmp_path: Path, change: Callable[[dict], None], code: str
) -> None:
    assert refused(tmp_path, resign(read(package), change)) == code


@pytest.mark.parametrize("value", [np.nan, np.inf, 5000.0])
def test_weights_no_network_has_are_refused(package: Path, tmp_path: Path, value: float) -> None:
    contents = read(package)
    weights = {name: array.copy() for name, array in decode_weights(contents["weights.safetensors"]).items()}
    next(iter(weights.values())).flat[0] = value
    assert (
        refused(tmp_path, resign({**contents, "weights.safetensors": encode_weights(weights)}))
        == "package.weights"
    )


def test_tensors_of_another_shape_or_name_are_refused(package: Path, tmp_path: Path) -> None:
    contents = read(package)
    weights = dict(decode_weights(contents["weights.safetensors"]))
    weights["head.bias"] = np.zeros(7, np.float32)
    assert (
        refused(tmp_path, resign({**contents, "weights.safetensors": encode_weights(weights)}))
        == "package.weights"
    )
    weights["__class__"] = weights.pop("head.bias")
    assert (
        refused(tmp_path, resign({**contents, "weights.safetensors": encode_weights(weights)}))
        == "package.weights"
    )


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"not a zip", b"\x80\x05K\x01."])
def test_a_file_that_is_no_package_is_refused(tmp_path: Path, data: bytes) -> None:
    assert refused(tmp_path, data) == "package.unreadable"


def test_a_card_with_numbers_json_does_not_have_is_refused(package: Path, tmp_path: Path) -> None:
    contents = read(package)
    text = contents["model.json"].replace(b'"mean": 0.5', b'"mean": NaN')
    assert refused(tmp_path, {**contents, "model.json": text}) == "package.card"
    with pytest.raises(PackageRefused):
        read_card([])
