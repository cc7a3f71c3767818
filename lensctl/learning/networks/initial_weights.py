"""Weights that a run begins with (`--init`): read safely, adapted where they must be, and what they were trained on."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lensctl.learning.networks import architectures
from lensctl.learning.networks.checkpoint import FROZEN, FROZEN_WEIGHTS, fill, load_tensors, read_json
from lensctl.learning.networks.run_files import BEST, RUN, weights_digest
from lensctl.learning.torch_errors import InvalidFile, unpickling
from lensctl.rules.config import as_written
from lensctl.rules.errors import InputError

MOST_BYTES = 2 << 30
"""Of a file of weights, as it is and unpacked."""
MOST_CHANNELS, MOST_PLACES = 64, 1 << 16
"""Of a first layer, and of an embedding of positions; more are taken for damage."""
MOST_RUNS = 20
"""Trained one from another."""
POSITIONS = "pos_embed"
NOT_SAID = "not said"


@dataclass(frozen=True)
class Initial:
    """Initial weights as run.json records them: their file, what they were trained on, what was adapted."""

    file: str
    digest: str
    trained_on: Mapping[str, Any]
    adapted: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**vars(self), "trained_on": dict(self.trained_on), "adapted": list(self.adapted)}

    def said(self) -> tuple[str, ...]:
        """Lines for people."""
        known = self.trained_on
        by = known.get("said") or (
            f"manifest {known['manifest_digest'][:19]}…" if "manifest_digest" in known else NOT_SAID
        )
        return (f"initial weights from {self.file}, trained on: {by}", *self.adapted)


def origin_of(path: Path, said: str | None) -> dict[str, Any]:
    """What weights were trained on: as the run or frozen model beside them records it, else as somebody says.

    Returns
    -------
    dict
        For a run: manifest_digest, fold, without_ref, and `init`, the same of its own initial weights. `said` is in
        words.

    Raises
    ------
    InputError
        The file is missing; the facts beside it are damaged or of other weights.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file", "give a file of weights")
    words = {} if said is None else {"said": said.strip()}
    beside = {BEST: RUN, FROZEN_WEIGHTS: FROZEN}.get(path.name)
    facts_path = path.parent / str(beside)
    if beside is None or not facts_path.is_file():
        return words
    with as_written(
        str(facts_path), "name a whole run, or copy its weights elsewhere and say what they were trained on"
    ):
        facts = read_json(facts_path)
        if facts["model_digest"] != weights_digest([path]):
            raise InputError(f"{path}: not the weights that {beside} beside it is about", "restore the folder")
        before = facts["init"]["trained_on"] if "init" in facts else None
        known = {
            "manifest_digest": facts["manifest_digest"],
            "fold": facts["config"].get("fold"),
            "without_ref": facts["config"].get("without_ref", []),
            **({} if before is None else {"init": before}),
        }
        return {**_checked(known), **words}


def _checked(known: Any, depth: int = 0) -> dict[str, Any]:
    """What a run says its weights were trained on, and those before them; ValueError if it is no such thing."""
    if not isinstance(known, dict) or depth > MOST_RUNS:
        raise ValueError("no record of training data")
    texts = [
        known.get("said", ""),
        known.get("manifest_digest", ""),
        known.get("fold") or "",
        *known.get("without_ref", []),
    ]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a record of training data holds texts")
    if "manifest_digest" in known:
        known = {"fold": None, "without_ref": [], **known}
    return {**known, **({"init": _checked(known["init"], depth + 1)} if "init" in known else {})}


def refuse_known_lenses(trained_on: Mapping[str, Any], without_ref: Sequence[str], fold: str | None) -> None:
    """Raise InputError if a run that leaves catalogues or a fold out would begin with weights that may know them."""
    if "manifest_digest" not in trained_on:
        if without_ref and not trained_on.get("said"):
            raise InputError(
                f"--without-ref {without_ref[0]}: what the weights of --init were trained on is not known",
                "say it with --init-trained-on, such as 'ImageNet-1k'; it is recorded",
            )
        return
    known = sorted(set(without_ref) - set(trained_on["without_ref"]))
    if known:
        raise InputError(
            f"--without-ref {known[0]}: the weights of --init come from a run that did not leave it out",
            "train those without it too",
        )
    if fold is not None and trained_on["fold"] != fold:
        raise InputError(
            f"--fold {fold}: the weights of --init come from a run on {trained_on['fold'] or 'no fold'}, "
            "so they may have seen what this one tests on",
            "train those on the same fold",
        )
    if "init" in trained_on:
        refuse_known_lenses(trained_on["init"], without_ref, fold)


def initialise(network: nn.Module, path: Path) -> tuple[str, ...]:
    """Initialise a network from a file: safetensors, or a torch state_dict read with weights_only.

    The last layer is not taken if it has another shape, such as ImageNet's thousand classes. A first layer for another
    number of bands is the mean over its bands, repeated and scaled to the same sum. An embedding of positions is
    interpolated to the network's.

    Returns
    -------
    tuple of str
        What was adapted, a sentence each.

    Raises
    ------
    InputError
        Unreadable, too large, or of another architecture.
    """
    own = network.state_dict()
    weights = {_plain(name): tensor for name, tensor in _read(path).items()}
    said = []
    heads = architectures.head_weights(network)
    skipped = [name for name in heads if name not in weights or weights[name].shape != own[name].shape]
    if skipped:
        weights |= {name: own[name] for name in skipped}
        outermost = {name.partition(".")[0] for name in heads}
        weights = {n: w for n, w in weights.items() if n in own or n.partition(".")[0] not in outermost}
        said.append(f"last layer ({', '.join(skipped)}): not in the file in this shape, so it starts at random")
    first = architectures.first_weight(network)
    if first in weights and _other_bands(weights[first], own[first]):
        bands, theirs = own[first].shape[1], weights[first].shape[1]
        mean = weights[first].float().mean(dim=1, keepdim=True)
        weights[first] = (mean * (theirs / bands)).expand_as(own[first])
        said.append(f"first layer ({first}): the mean over {theirs} channels, for each of {bands} bands")
    if POSITIONS in own and POSITIONS in weights and _other_places(weights[POSITIONS], own[POSITIONS]):
        places = weights[POSITIONS].shape[1]
        weights[POSITIONS] = _resampled(weights[POSITIONS], own[POSITIONS].shape[1], path)
        said.append(f"{POSITIONS}: interpolated from {places} places to {own[POSITIONS].shape[1]}")
    fill(network, weights, str(path))
    return tuple(said)


def _other_bands(found: torch.Tensor, own: torch.Tensor) -> bool:
    apart = found.dim() == own.dim() == 4 and found.shape[1] != own.shape[1]
    return apart and found.shape[::2] == own.shape[::2] and 1 <= found.shape[1] <= MOST_CHANNELS


def _other_places(found: torch.Tensor, own: torch.Tensor) -> bool:
    apart = found.dim() == own.dim() == 3 and found.shape[1] != own.shape[1]
    return apart and found.shape[::2] == own.shape[::2] and found.shape[1] <= MOST_PLACES


def _resampled(found: torch.Tensor, places: int, path: Path) -> torch.Tensor:
    """An embedding of a class token and a square grid, (1, 1 + n * n, D), for another grid."""
    from timm.layers.pos_embed import resample_abs_pos_embed

    side = round((places - 1) ** 0.5)
    if round((found.shape[1] - 1) ** 0.5) ** 2 != found.shape[1] - 1:
        raise InputError(f"{path}: {POSITIONS} of {found.shape[1]} places is no square grid", "use other weights")
    resampled: torch.Tensor = resample_abs_pos_embed(found.float(), [side, side], num_prefix_tokens=1)
    return resampled


def _plain(name: str) -> str:
    """A weight's name without what DistributedDataParallel, torch.compile, Lightning and Zoobot put before it."""
    return re.sub(r"^(module\.|_orig_mod\.|model\.|encoder\.)+", "", name)


def _read(path: Path) -> dict[str, torch.Tensor]:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})", "give a file of weights") from error
    if size > MOST_BYTES:
        raise InputError(f"{path}: larger than {MOST_BYTES >> 30} GiB", "give a file of weights alone")
    if path.suffix == ".safetensors":
        return load_tensors(path)[0]
    try:
        with unpickling():
            _refuse_swelling(path)
            found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})", "give a file of weights") from error
    except InvalidFile as error:
        kind = type(error.__cause__).__name__
        raise InputError(
            f"{path}: neither safetensors nor a plain torch state_dict ({kind}); other pickles are not loaded",
            "save only model.state_dict(), or use safetensors",
        ) from error
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]  # a checkpoint of Lightning
    if not isinstance(found, dict) or not all(
        isinstance(name, str) and isinstance(v, torch.Tensor) for name, v in found.items()
    ):
        raise InputError(f"{path}: not a state_dict of tensors", "save only model.state_dict()")
    return found


def _refuse_swelling(path: Path) -> None:
    """Raise InputError if a torch file holds compressed parts, which torch never writes, or more than MOST_BYTES."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
    if any(part.compress_type != zipfile.ZIP_STORED for part in parts) or sum(p.file_size for p in parts) > MOST_BYTES:
        raise InputError(f"{path}: holds compressed parts, or more than fits", "save it again with torch.save")
