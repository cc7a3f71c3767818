"""A trained, scored and evaluated toy, with gates that passed: all that `freeze` asks for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
import torch
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from lensctl.evaluate.evaluation import Choices, evaluation_of
from lensctl.freeze.folder import fill
from lensctl.frozen.gate_results import REQUIRED_GATES
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Chain, Step, chain_of, extend, stamp, step_input
from lensctl.io.tables.files import write_table
from lensctl.learning.networks import architectures, checkpoint
from lensctl.learning.networks.scoring import score_table
from lensctl.learning.training.settings import TrainConfig
from lensctl.rules.checks import Check
from lensctl.train.fitting import fit
from tests.toys import pixels, rings

POOL_DIGEST = "sha256:" + "a" * 64
CONFIG = TrainConfig(crop=16, epochs=2, batch_size=16, lr=0.003, shift=2)


def chain_to_manifest() -> Chain:
    """Steps from raw catalogues to a manifest."""

    def digest(letter: str) -> str:
        return "sha256:" + letter * 64

    pool = extend(Step("pool", {}, (step_input("catalog", "sweeps", digest("0")),)))
    positives = extend(Step("crossmatch", {}, (step_input("lenses", "lenses.csv", digest("1")),)))
    negatives = extend(
        Step(
            "sample",
            {},
            (
                step_input("pool", "pool.parquet", POOL_DIGEST, pool),
                step_input("positives", "p", digest("2"), positives),
            ),
        ),
        pool,
        positives,
    )
    stores = [
        extend(Step("cutout", {"of": name}, (step_input("table", name, digest("3"), chain),)), chain)
        for name, chain in (("p", positives), ("n", negatives))
    ]
    inputs = [("positives", positives), ("positives cutouts", stores[0])]
    inputs += [("negatives", negatives), ("negatives cutouts", stores[1])]
    step = Step("manifest", {}, tuple(step_input(role, role, digest(str(i)), c) for i, (role, c) in enumerate(inputs)))
    return extend(step, *(chain for _, chain in inputs))


def make(folder: Path, count: int = 160, members: int = 1) -> pa.Table:
    """Write store, manifest, run, scores, evaluation (without report) and gates into a folder; gives the scores."""
    table, cutouts = rings.manifest(count, path="s.zarr")
    store = pixels.make_store(folder / "s.zarr", cutouts.images, shard_rows=64)
    table = table.set_column(0, "galaxy_id", store.index["galaxy_id"])
    manifest = stamp(table, chain_to_manifest())
    write_table(manifest, str(folder / "manifest.parquet"))
    config = TrainConfig(**{**CONFIG.as_dict(), "ensemble": members})
    for _ in fit(manifest, cutouts, config, folder / "run"):
        pass
    scores = scored(folder, manifest, cutouts)
    write_table(scores, str(folder / "scores.parquet"))
    write_evaluation(folder, scores)
    write_gates(folder)
    return scores


def scored(folder: Path, manifest: pa.Table, cutouts: rings.InMemory, crop: int = CONFIG.crop) -> pa.Table:
    """Scores of the manifest by the run, with the chain that `lensctl score` stamps."""
    model = checkpoint.load_model(folder / "run")
    rows = score_table(model, manifest, lambda rows: cutouts.read(rows, crop), device="cpu").rows
    chain = chain_of(manifest)
    step = Step(
        "score",
        {},
        (
            step_input("model", "run", model.digest, model.chain),
            step_input("manifest", "manifest.parquet", digests.of_table(manifest), chain),
        ),
    )
    return stamp(rows, extend(step, chain, model.chain))


def write_evaluation(folder: Path, scores: pa.Table) -> None:
    """evaluation/ with what `freeze` reads of it."""
    found = evaluation_of(scores, Choices(rounds=100))
    (folder / "evaluation" / "tables").mkdir(parents=True, exist_ok=True)
    write_metrics(folder, found.metrics)
    path = folder / "evaluation" / "tables" / "val_scores.parquet"
    write_table(found.tables["val_scores"], str(path), overwrite=True)


def write_metrics(folder: Path, metrics: dict) -> None:
    text = json.dumps(metrics, indent=1, sort_keys=True, allow_nan=False)
    (folder / "evaluation" / "metrics.json").write_text(text + "\n")


def read_metrics(folder: Path) -> dict:
    return json.loads((folder / "evaluation" / "metrics.json").read_text())


def gate_lines(folder: Path) -> list[dict]:
    """One passed line of each required gate, on the right input."""
    run = json.loads((folder / "run" / "run.json").read_text())
    judged = dict.fromkeys(REQUIRED_GATES, run["manifest_digest"])
    judged["pool"] = POOL_DIGEST
    judged["trained"] = digests.of_file(folder / "evaluation" / "metrics.json")
    return [Check(gate, "all well", True, 1.0, input_digest=judged[gate]).as_dict() for gate in REQUIRED_GATES]


def write_gates(folder: Path, lines: list[dict] | None = None, name: str = "gates.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(line) + "\n" for line in (gate_lines(folder) if lines is None else lines)))
    return path


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def flip(path: Path, place: int, bit: int) -> None:
    """Flip one bit of one byte of a file."""
    data = bytearray(path.read_bytes())
    data[place] ^= 1 << bit
    path.chmod(0o644)
    path.write_bytes(bytes(data))


def key_pair(
    folder: Path, curve: ec.EllipticCurve | None = None, *, passphrase: bytes | None = None, format: str = "PKCS8"
) -> tuple[Path, Path]:
    """A fresh private key in key.pem and its public half in key.pub."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    locked = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    private, public = folder / "key.pem", folder / "key.pub"
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, getattr(serialization.PrivateFormat, format), locked)
    )
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


def random_flips(size: int, count: int, seed: int) -> list[tuple[int, int]]:
    """Places and bits: first and last byte, and some between."""
    random = np.random.default_rng(seed)
    places = [0, size - 1, *random.integers(0, size, count).tolist()]
    return [(place, int(bit)) for place, bit in zip(places, random.integers(0, 8, len(places)), strict=True)]


_MADE: dict[int, Path] = {}


def bundle(factory: pytest.TempPathFactory, members: int = 1) -> Path:
    """A folder with everything `make` makes and frozen/ beside it, of the tiny network; made once: do not change it."""
    if members not in _MADE:
        folder = factory.mktemp("bundle")
        with tiny_network():
            make(folder, members=members)
            (folder / "frozen").mkdir()
            fill(folder / "run", folder / "evaluation", [folder / "gates.jsonl"], folder / "frozen")
        _MADE[members] = folder
    return _MADE[members]


@contextmanager
def tiny_network() -> Iterator[None]:
    """A network of two layers in the place of ResNet-18, and one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(cast("dict[str, Any]", architectures.ARCHITECTURES), "resnet18", rings.tiny)
        yield
    torch.set_num_threads(threads)
