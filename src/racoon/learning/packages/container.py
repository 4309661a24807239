"""The package file: an uncompressed ZIP with four or five files of known names, read into memory and never unpacked."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from racoon.domain.canonical import canonical_json
from racoon.domain.plan import TrainingPlan
from racoon.learning.architectures import network_input, network_output, tensor_shapes
from racoon.learning.packages.card import Card, PackageRefused, derived_parts, read_card
from racoon.learning.packages.graph import read_graph_weights
from racoon.learning.weights import BadWeights, Weights, check_weights, decode_weights, encode_weights
from racoon.platform.certificates import public_key_text, sign, verify
from racoon.platform.files import write_atomically

CARD, WEIGHTS, GOLDEN, SIGNATURE = "model.json", "weights.safetensors", "golden.safetensors", "signature.json"
GRAPH = "model.onnx"
NEEDED = (CARD, GOLDEN, SIGNATURE)
MODELS = (WEIGHTS, GRAPH)
"""A package has at least one of them; with both, the graph holds the same weights bit by bit."""

FILES = (*NEEDED, *MODELS)
SUFFIX = ".racoon-model"

LIMITS = {CARD: 1 << 20, WEIGHTS: 2 << 30, GRAPH: 2 << 30, GOLDEN: 64 << 20, SIGNATURE: 4096}
"""Largest sizes in bytes; the weights' true size follows from the architecture and is compared too."""

CODE_SUFFIXES = (".pt", ".pth", ".ts", ".pkl", ".pickle", ".ckpt", ".bin", ".npy", ".joblib", ".py", ".so")
"""Names under which code hides; refused with the reason rather than as an unknown file."""

_DOMAIN = b"racoon-model-v1\x00"
"""Separates these signatures from any other use of the same key."""


@dataclass(frozen=True, eq=False)
class ModelPackage:
    """A package whose form, hashes, signature, architecture and tensors have been checked.

    Parameters
    ----------
    card, plan
        What it says of itself.
    weights
        Tensors of the network.
    golden_input, golden_scores
        ``(sample, channel, …)`` and the class scores ``(sample, class, …)`` they gave.
    graph
        The same network as ONNX, where the package carries it.
    signer
        Public key text (Ed25519) of who signed.
    """

    card: Card
    plan: TrainingPlan
    weights: Weights
    golden_input: npt.NDArray[np.float32]
    golden_scores: npt.NDArray[np.float32]
    graph: bytes | None
    signer: str

    @property
    def hash(self) -> str:
        """The name of the package."""
        return self.card.hash


def write_package(
    folder: Path,
    plan: TrainingPlan,
    weights: Weights,
    golden: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]],
    statements: Mapping[str, Any],
    key: Ed25519PrivateKey,
    *,
    graph: bytes | None = None,
    with_weights: bool = True,
) -> Path:
    """Write a signed package named after its hash.

    Parameters
    ----------
    folder
        Where; it exists.
    plan, weights
        The model.
    golden
        Input and the scores it gives, as :class:`ModelPackage` has them.
    statements
        The fields of :class:`Card` that do not follow from the plan: name, intended_use, licence, data, metrics, …
    key
        Signs the card.
    graph
        The same network as ONNX, as ``runtimes.exporting`` writes it.
    with_weights
        Whether the weights go in beside the graph; without them the package runs on ONNX and, read from the graph, on
        torch.

    Returns
    -------
    Path
        ``<hash>.racoon-model``.
    """
    check_weights(weights, tensor_shapes(plan))
    contents = {GOLDEN: encode_weights({"input": golden[0], "scores": golden[1]})}
    if with_weights or graph is None:
        contents[WEIGHTS] = encode_weights(weights)
    if graph is not None:
        contents[GRAPH] = graph
    card = read_card(
        {
            **statements,
            **derived_parts(plan),
            "plan": plan.to_dict(),
            "files": {
                name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
                for name, data in contents.items()
            },
        }
    )
    document = card.model_dump(mode="json")
    contents[CARD] = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False).encode()
    signature = {
        "algorithm": "Ed25519",
        "public_key": public_key_text(key),
        "signature": sign(key, _DOMAIN + canonical_json(document)),
    }
    contents[SIGNATURE] = json.dumps(signature, indent=1).encode()
    path = folder / f"{card.hash}{SUFFIX}"
    write_atomically(path, pack(contents), mode=0o644)
    return path


def pack(contents: Mapping[str, bytes]) -> bytes:
    """Put files into an uncompressed ZIP with a fixed date: equal contents give equal bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(contents):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), contents[name])
    return stream.getvalue()


def open_package(path: Path) -> ModelPackage:
    """Read a package and check everything that needs no network to run.

    Parameters
    ----------
    path
        ``.racoon-model`` file, or a folder with the same files.

    Raises
    ------
    PackageRefused
        With the code of the first rule broken, in this order: ``package.unreadable``, ``package.path``,
        ``package.code``, ``package.files``, ``package.too_large``, ``package.card``, ``package.signature``,
        ``package.hash``, ``package.architecture``, ``package.plan``, ``package.contradiction``, ``package.weights``,
        ``package.onnx``.
    """
    contents = _read_folder(path) if path.is_dir() else _read_archive(path)
    card = read_card(_json(contents[CARD], CARD))
    signer = _check_signature(card, _json(contents[SIGNATURE], SIGNATURE))
    signed = set(contents) - {CARD, SIGNATURE}
    for name in sorted(signed):
        facts = card.files.get(name)
        if facts is None or set(card.files) != signed:
            raise PackageRefused("The card does not name the package's files.", code="package.hash")
        if (len(contents[name]), hashlib.sha256(contents[name]).hexdigest()) != (facts.size, facts.sha256):
            raise PackageRefused(f"{name} is not the file that was signed.", code="package.hash")
    if path.name.endswith(SUFFIX) and path.name != f"{card.hash}{SUFFIX}" and _is_digest(path.stem):
        raise PackageRefused("The file's name is another package's hash.", code="package.hash")
    plan = card.training_plan()
    golden = _check_golden_form(plan, contents[GOLDEN])
    weights = _check_models(plan, contents)
    return ModelPackage(card, plan, weights, golden["input"], golden["scores"], contents.get(GRAPH), signer)


def _read_archive(path: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            _check_names([entry.filename for entry in entries])
            for entry in entries:
                _check_size(entry.filename, entry.file_size)
                if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
                    raise PackageRefused("A package is not compressed.", code="package.files")
            contents = {entry.filename: archive.read(entry) for entry in entries}
    except FileNotFoundError:
        raise PackageRefused(
            f"{path.name} does not exist; give the path of a package.", code="package.unreadable"
        ) from None
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
        raise PackageRefused(
            "The file is no model package (a ZIP with a signed model.json).", code="package.unreadable"
        ) from error
    _check_contents(contents)
    return contents


def _read_folder(path: Path) -> dict[str, bytes]:
    found = [item for item in sorted(path.rglob("*")) if not item.is_dir() or item.is_symlink()]
    if any(item.is_symlink() for item in found):
        raise PackageRefused("A package holds no links.", code="package.path")
    _check_names([item.relative_to(path).as_posix() for item in found])
    for item in found:
        _check_size(item.name, item.stat().st_size)
    contents = {item.name: item.read_bytes() for item in found}
    _check_contents(contents)
    return contents


def _check_names(names: list[str]) -> None:
    for name in names:
        if name in FILES:
            continue
        parts = name.replace("\\", "/").split("/")
        if name.startswith("/") or ".." in parts or ":" in parts[0] or "\x00" in name:
            raise PackageRefused(
                "A file of the package points out of the package.",
                code="package.path",
                details={"name": name},
            )
        if name.lower().endswith(CODE_SUFFIXES):
            raise PackageRefused(
                "The package holds a kind of file that can carry code; only safetensors weights are accepted.",
                code="package.code",
                details={"name": name},
            )
        raise PackageRefused(
            "The package holds a file it must not.", code="package.files", details={"name": name}
        )
    if len(set(names)) != len(names) or not set(NEEDED) <= set(names) or not set(MODELS) & set(names):
        raise PackageRefused(
            f"A package holds {', '.join(NEEDED)} and {' or '.join(MODELS)} or both, each once.",
            code="package.files",
        )


def _check_size(name: str, size: int) -> None:
    if size > LIMITS.get(name, 0):
        raise PackageRefused(f"{name} is larger than a package may hold.", code="package.too_large")


def _check_contents(contents: Mapping[str, bytes]) -> None:
    for name in sorted({WEIGHTS, GOLDEN, GRAPH} & set(contents)):
        head = contents[name][:4]
        # Protocols 2 to 5 of pickle begin with 0x80; torch's own files, TorchScript too, are ZIPs.
        if (
            head[:1] == b"\x80"
            and len(head) > 1
            and head[1] in range(2, 6)
            and b'{"' not in contents[name][:16]
        ):
            raise PackageRefused(f"{name} is a pickle; pickles can carry code.", code="package.code")
        if head == b"PK\x03\x04":
            raise PackageRefused(
                f"{name} is a torch or TorchScript file; those can carry code.", code="package.code"
            )


def _json(data: bytes, name: str) -> Any:
    def refuse(_: str) -> Any:
        raise ValueError("NaN and infinities are no JSON")

    try:
        document = json.loads(data, parse_constant=refuse)
        canonical_json(document)
    except (ValueError, RecursionError) as error:
        raise PackageRefused(f"{name} is no JSON document.", code="package.card") from error
    return document


def _check_signature(card: Card, document: Any) -> str:
    if not isinstance(document, dict) or set(document) != {"algorithm", "public_key", "signature"}:
        raise PackageRefused("The package is not signed.", code="package.signature")
    signer, signature = str(document["public_key"]), str(document["signature"])
    message = _DOMAIN + canonical_json(card.model_dump(mode="json"))
    if document["algorithm"] != "Ed25519" or not verify(signer, signature, message):
        raise PackageRefused(
            "The signature does not belong to this card; the package was altered.", code="package.signature"
        )
    return signer


def _check_golden_form(plan: TrainingPlan, golden: bytes) -> Weights:
    try:
        example = decode_weights(golden)
    except BadWeights as error:
        raise PackageRefused(error.public_message, code="package.weights", details=error.details) from error
    samples = len(example["input"]) if "input" in example else 0
    shapes = {"input": (samples, *network_input(plan)), "scores": (samples, *network_output(plan))}
    if {name: value.shape for name, value in example.items()} != shapes or not samples:
        raise PackageRefused("The golden example does not fit the network.", code="package.weights")
    if not all(np.isfinite(value).all() for value in example.values()):
        raise PackageRefused("The golden example holds values that are no numbers.", code="package.weights")
    return example


def _check_models(plan: TrainingPlan, contents: Mapping[str, bytes]) -> Weights:
    """Return the weights, which each file that carries them must hold alike."""
    found: list[Weights] = []
    try:
        if WEIGHTS in contents:
            found.append(decode_weights(contents[WEIGHTS]))
        if GRAPH in contents:
            found.append(read_graph_weights(contents[GRAPH], plan))
        for weights in found:
            check_weights(weights, tensor_shapes(plan))
    except BadWeights as error:
        raise PackageRefused(error.public_message, code="package.weights", details=error.details) from error
    first = found[0]
    if any(other[name].tobytes() != first[name].tobytes() for other in found[1:] for name in first):
        raise PackageRefused("The ONNX graph holds other weights than the package.", code="package.onnx")
    return first


def _is_digest(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")
