"""Checkpoints: weights as safetensors, everything else as JSON; files are written atomically, nothing is pickled."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from lensctl.io.cutouts.layout import LARGEST_PX
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Chain, from_list
from lensctl.io.storage.atomic import whole_file
from lensctl.learning.data.normalise import Normalisation
from lensctl.learning.data.row_selection import Fold
from lensctl.learning.networks import architectures
from lensctl.learning.networks.run_files import (
    BEST,
    METRICS_CSV,
    METRICS_JSONL,
    RUN,
    digest_of_weights,
    member_folders,
)
from lensctl.rules.config import as_written, json_value
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10, Survey
from lensctl.rules.survey_file import survey_of_text, text_of_survey

FROZEN, FROZEN_WEIGHTS, PROVENANCE = "frozen.json", "model.safetensors", "provenance.json"
MOST_MEMBERS = 1000
"""Of an ensemble; more are taken for damage."""
FACTS = "lensctl"  # a single key in the safetensors header, because the order of its keys is undefined

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class ModelCard:
    """What scoring needs besides the weights: the `model` block of run.json and frozen.json.

    `layers` are those of the cutouts it was trained on; empty if unknown. `calibrate_share` of val's pixels were kept
    out of its early stopping; 0 if none.
    """

    arch: str
    crop: int
    normalisation: Normalisation
    dropout: float = 0.0
    survey: Survey = LS_DR10
    pixel_scale_arcsec: float = LS_DR10.pixel_scale_arcsec
    layers: tuple[str, ...] = ()
    members: int = 1
    fold: str | None = None
    calibrate_share: float = 0.0

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands of the cutouts, in order."""
        return self.survey.bands

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            **vars(self),
            "bands": list(self.bands),
            "layers": list(self.layers),
            "normalisation": self.normalisation.as_dict(),
            "survey": text_of_survey(self.survey),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str) -> ModelCard:
        """The inverse of `as_dict`; InputError if the values are invalid.

        A block that names no survey, as version 0.1.0 wrote, is of ls-dr10; which layers it saw is then unknown.
        """
        with as_written(f"{where}: invalid 'model' block", "train or freeze the model again"):
            card = cls(
                **{name: value for name, value in values.items() if name not in ("bands", "layers")}
                | {
                    "layers": tuple(values.get("layers", ())),
                    "normalisation": Normalisation.from_dict(values["normalisation"], where),
                    "survey": survey_of_text(values.get("survey", LS_DR10.name), where),
                }
            )
            bands = tuple(map(str, values["bands"]))
            known = card.arch in architectures.ARCHITECTURES
            if card.fold is not None:
                Fold.parse(card.fold)
            least = architectures.LEAST_CROP.get(card.arch, 1)
            if not (1 <= card.members <= MOST_MEMBERS and least <= card.crop <= LARGEST_PX and 0 <= card.dropout < 1):
                raise ValueError(f"members {card.members}, crop {card.crop}, dropout {card.dropout}")
            if not all(isinstance(count, int) for count in (card.members, card.crop)):
                raise TypeError("members and crop are whole numbers")
        if bands != card.bands:
            raise InputError(
                f"{where}: bands {', '.join(bands)}, survey {card.survey.name} has {', '.join(card.bands)}",
                "train or freeze the model again",
            )
        if not known:
            raise InputError(f"{where}: no architecture '{card.arch}'", "use the lensctl version that trained it")
        return card


@dataclass(frozen=True)
class ScoringModel:
    """A run or a frozen model, ready to score.

    Parameters
    ----------
    members : networks in evaluation mode, on the CPU; (B, bands, S, S) normalised pixels to (B, 1) logits
    card : ModelCard
    digest : str
        Digest of the weights file, or of the members' digests.
    chain : Chain
        Steps from the pool to the weights.
    where : str
        Name of its folder, for messages.
    """

    members: tuple[nn.Module, ...]
    card: ModelCard
    digest: str
    chain: Chain
    where: str


@contextmanager
def _atomic_write(path: Path) -> Iterator[Path]:
    """Write a file atomically; on failure the previous file stays, and the error says so."""
    try:
        with whole_file(path, overwrite=True) as part:
            yield part
    except OSError as error:
        raise InputError(
            f"{path.name} could not be written ({error.strerror}); the last checkpoint is in "
            f"{'/'.join(path.absolute().parts[-3:-1])}/",
            "free disk space, then run the same command with --resume",
        ) from error


def write_json(path: Path, values: Any) -> None:
    """Write a JSON value, indented, with sorted keys."""
    with _atomic_write(path) as part:
        part.write_text(json.dumps(values, indent=1, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON value; InputError if the file is missing or invalid."""
    return json_of(_read(path), str(path))


def json_of(data: bytes, where: str) -> Any:
    """A JSON value from the bytes of its file; InputError if they are invalid."""
    try:
        return json_value(data.decode("utf-8"))
    except ValueError as error:
        raise InputError(f"{where}: not valid JSON", "the file is damaged; train again") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise InputError(f"{path}: {reason}", "name the folder of a run") from error


def write_metrics(folder: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write `metrics.jsonl` and `metrics.csv`: a line per epoch."""
    rows = list(rows)
    with _atomic_write(folder / METRICS_JSONL) as part:
        part.write_text("".join(json.dumps(row, allow_nan=False) + "\n" for row in rows), encoding="utf-8")
    with _atomic_write(folder / METRICS_CSV) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0] if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def save_tensors(path: Path, tensors: Tensors, facts: Mapping[str, Any]) -> None:
    """Write tensors and JSON metadata to one safetensors file; reproducible byte for byte."""
    text = json.dumps(facts, separators=(",", ":"), allow_nan=False)
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with _atomic_write(path) as part:
        part.write_bytes(save(plain, metadata={FACTS: text}))


def load_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read a file written by `save_tensors`; InputError if it is missing or damaged."""
    return tensors_of(_read(path), str(path))


def tensors_of(data: bytes, where: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and metadata from the bytes of a safetensors file; InputError if they are damaged."""
    try:
        tensors = dict(sorted(load(data).items()))  # it gives them in random order
        header = json_value(data[8 : 8 + int.from_bytes(data[:8], "little")])
        facts = json_value(header.get("__metadata__", {}).get(FACTS, "{}"))
        if not isinstance(facts, dict):
            raise ValueError("its facts are no mapping")
        return tensors, facts
    except (SafetensorError, ValueError, TypeError) as error:
        raise InputError(f"{where}: invalid safetensors file ({error})", "the file is damaged; train again") from error


def fill(network: nn.Module, weights: Tensors, where: str) -> None:
    """Load weights into a network of the same architecture; InputError names a weight that does not fit."""
    own = network.state_dict()
    missing, unknown = sorted(set(own) - set(weights)), sorted(set(weights) - set(own))
    misfits = missing[:1] or unknown[:1] or [n for n in own if own[n].shape != weights[n].shape][:1]
    if misfits:
        raise InputError(
            f"{where}: weights of another architecture ('{misfits[0]}' does not fit)",
            "use the architecture it was trained with",
        )
    network.load_state_dict(dict(weights))


def load_model(path: str | Path) -> ScoringModel:
    """Load a run for scoring, or a frozen model without verifying it.

    Raises
    ------
    InputError
        Neither of them, damaged, or weights that do not match the recorded digest.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder", "name a folder written by `lensctl train` or `lensctl freeze`")
    frozen = (folder / FROZEN).is_file()
    if not frozen and not (folder / RUN).is_file():
        raise InputError(f"{folder} has neither {RUN} nor {FROZEN}", "name the folder of a run or a frozen model")
    return model_of(lambda name: _read(folder / name), str(folder), frozen=frozen)


def model_of(read: Callable[[str], bytes], where: str, *, frozen: bool) -> ScoringModel:
    """The model in a folder whose files a function reads, by name; each is read once.

    Raises
    ------
    InputError
        As for `load_model`.
    """
    facts_name = FROZEN if frozen else RUN
    facts_path = f"{where}/{facts_name}"
    facts = json_of(read(facts_name), facts_path)
    if not isinstance(facts, dict) or not isinstance(facts.get("model"), dict):
        raise InputError(f"{facts_path}: no 'model' block", "train or freeze the model again")
    card = ModelCard.from_dict(facts["model"], facts_path)
    chain_path = f"{where}/{PROVENANCE}" if frozen else facts_path
    steps = json_of(read(PROVENANCE), chain_path) if frozen else facts.get("provenance")
    chain = from_list(steps, chain_path)
    names = [
        (Path(folder.name) / (FROZEN_WEIGHTS if frozen else BEST)).as_posix()
        for folder in member_folders(Path(), card.members)
    ]
    weights = [read(name) for name in names]
    digest = digest_of_weights([digests.of_bytes(data) for data in weights])
    members = tuple(_member(card, data, f"{where}/{name}") for name, data in zip(names, weights, strict=True))
    if facts.get("model_digest") not in (None, digest):
        raise InputError(f"{where}: weights do not match the digest in {facts_name}", "restore the folder")
    return ScoringModel(members, card, digest, chain, Path(where).name)


def _member(card: ModelCard, data: bytes, where: str) -> nn.Module:
    weights, _ = tensors_of(data, where)
    network = architectures.build(card.arch, card.dropout, len(card.bands))
    fill(network, weights, where)
    return network.eval()


def fold_of(card: ModelCard) -> Fold | None:
    """The fold a model was trained on, if any."""
    return Fold.parse(card.fold) if card.fold else None
