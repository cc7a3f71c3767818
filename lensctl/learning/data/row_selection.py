"""Which rows of a manifest train and which validate, and which are left out, by reason."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.astro import geometry
from lensctl.rules import schema
from lensctl.rules.config import nearest
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

NEEDED = ("galaxy_id", "cutout_path", "cutout_index", "label", "sample_weight", "split", "cutout_ok")
NOT_OK = "the cutout failed"
NAN = "NaN in the crop"


@dataclass(frozen=True)
class Rows:
    """Rows of a manifest as arrays, in the order their cutouts are stored.

    Parameters
    ----------
    at : (N,) int64
        Row numbers in the manifest.
    galaxy_id : (N,) object
    label : (N,) float32
        1 lens, 0 not.
    target : (N,) float32
        What the logit is fitted to: the label, or a little less for tier B.
    weight : (N,) float32
        Weight in the loss.
    """

    at: NDArray[np.int64]
    galaxy_id: NDArray[np.object_]
    label: NDArray[np.float32]
    target: NDArray[np.float32]
    weight: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.at)

    def take(self, which: NDArray[np.generic]) -> Rows:
        """Some of the rows."""
        return Rows(*(getattr(self, name)[which] for name in ("at", "galaxy_id", "label", "target", "weight")))

    def counts(self) -> dict[str, int]:
        """How many lenses and how many others."""
        positives = int((self.label == 1).sum())
        return {"positives": positives, "negatives": len(self) - positives}


@dataclass(frozen=True)
class Fold:
    """Part `number` of `of` parts of the sky, held out to test on; the next part validates, the rest trains."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Fold:
        """From `K/N`: 1 <= K <= N, N >= 3. InputError otherwise."""
        number, slash, of = text.partition("/")
        if slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of) and int(of) >= 3:
            return cls(int(number), int(of))
        raise InputError(f"--fold {text}: not a fold", "write K/N with K from 1 to N and N at least 3, such as 1/5")

    def splits(self, pixels: NDArray[np.int64], seed: int) -> NDArray[np.str_]:
        """Split of each HEALPix pixel: (N,) int64 in, (N,) text out.

        A pixel's part is floor(u * of), u = first 4 bytes, big-endian, of SHA-256("{pixel}_{seed}_fold") / 2**32.
        """
        unique, inverse = np.unique(pixels, return_inverse=True)
        heads = [hashlib.sha256(f"{pixel}_{seed}_fold".encode("ascii")).digest()[:4] for pixel in unique.tolist()]
        parts = np.array([int.from_bytes(head, "big") * self.of >> 32 for head in heads], np.int64)
        after = (parts - (self.number - 1)) % self.of
        names = np.array(["test", "val", *["train"] * (self.of - 2)])
        return np.asarray(names[after][inverse])


def refold(manifest: pa.Table, fold: Fold, seed: int) -> pa.Table:
    """The manifest with `split` as a fold has it, from `healpix_128`."""
    import pyarrow as pa

    schema.require(manifest, "healpix_128", "split", where="manifest")
    schema.refuse_nulls(manifest, "healpix_128", where="manifest")
    splits = fold.splits(manifest["healpix_128"].to_numpy(), seed)
    return manifest.set_column(manifest.column_names.index("split"), "split", pa.array(splits.tolist(), pa.string()))


@dataclass(frozen=True)
class RowSelection:
    """What trains, what validates, and how many rows do neither, by reason."""

    train: Rows
    val: Rows
    left_out: Counter[str]


def select_rows(
    manifest: pa.Table,
    *,
    fold: Fold | None = None,
    fold_seed: int = 42,
    without_ref: Sequence[str] = (),
    tier_b_target: float = 1.0,
) -> RowSelection:
    """Rows of a manifest to train and to validate on.

    Parameters
    ----------
    manifest : pa.Table
        With the columns NEEDED; `healpix_128`, ra and dec for a fold, `ref` for without_ref, `tier` for tier_b_target.
    fold : Fold, optional
        Splits by another cut of the sky than the manifest's own. A training row whose cutout shares sky with a
        validation or test row is left out, and a validation row with a test row: the manifest saw to its own
        splits only.
    without_ref : sequence of str
        Discovery catalogues whose lenses neither train nor validate, those that another catalogue names too among
        them: whoever found them first, the catalogue left out had them.
    tier_b_target : float
        Target of tier B lenses; 0.95 smooths their label.

    Raises
    ------
    InputError
        Missing columns, nulls, weights that are none, one class only, no validation rows.
    """
    schema.require(manifest, *NEEDED, where="manifest")
    schema.refuse_nulls(manifest, "galaxy_id", "cutout_path", "label", "sample_weight", "split", where="manifest")
    schema.refuse_duplicates(manifest, where="manifest")
    schema.require_numbers(manifest, "label", "sample_weight", where="manifest")
    table = manifest if fold is None else refold(manifest, fold, fold_seed)
    split = np.asarray(table["split"].to_pylist(), dtype=object)
    label = table["label"].to_numpy().astype(np.float32)
    weight = table["sample_weight"].to_numpy().astype(np.float32)
    _refuse_odd_values(split, label, weight)

    reason = np.full(len(split), "", dtype=object)
    if fold is not None:
        schema.refuse_bad_positions(table, where="manifest")
        reason[_shares_sky(table["ra"].to_numpy(), table["dec"].to_numpy(), split)] = "shares sky with another split"
    if without_ref:
        reason[_of_catalogues(table, without_ref, label)] = "a lens of a catalogue left out"
    reason[~np.asarray(table["cutout_ok"].fill_null(False).to_numpy(zero_copy_only=False), bool)] = NOT_OK

    target = label.copy()
    if tier_b_target != 1.0:
        schema.require(table, "tier", where="manifest")
        target[(np.asarray(table["tier"].to_pylist(), dtype=object) == "B") & (label == 1)] = tier_b_target
    ids = np.asarray(table["galaxy_id"].to_pylist(), dtype=object)
    everything = Rows(_storage_order(table), ids, label, target, weight)
    everything = Rows(everything.at, *(values[everything.at] for values in (ids, label, target, weight)))
    usable, where = reason[everything.at] == "", split[everything.at]
    selection = RowSelection(
        everything.take(usable & (where == "train")),
        everything.take(usable & (where == "val")),
        Counter(str(r) for r in reason[np.isin(split, ("train", "val"))] if r),
    )
    refuse_one_class(selection)
    return selection


def refuse_one_class(selection: RowSelection) -> None:
    """Raise InputError where a part has no rows, or only one class."""
    for name, rows in (("train", selection.train), ("val", selection.val)):
        counts = rows.counts()
        lost = "".join(f"; left out: {n:,} ({why})" for why, n in sorted(selection.left_out.items()))
        if not len(rows):
            raise InputError(f"the manifest has no usable rows with split '{name}'{lost}", "see `lensctl gate splits`")
        for what, count in counts.items():
            if not count:
                raise InputError(
                    f"the manifest has no usable {what} with split '{name}'{lost}", "training takes both classes"
                )


def _refuse_odd_values(split: NDArray[np.object_], label: NDArray[np.float32], weight: NDArray[np.float32]) -> None:
    odd = sorted({str(s) for s in split} - {"train", "val", "test"})
    if odd:
        raise InputError(f"manifest: split '{odd[0]}' is none of train, val, test", "see `lensctl gate splits`")
    if not np.isin(label, (0, 1)).all():
        row = int(np.flatnonzero(~np.isin(label, (0, 1)))[0])
        raise InputError(f"manifest: label {label[row]:g} in row {row} is neither 0 nor 1", "label lenses 1, others 0")
    bad = np.flatnonzero(~(np.isfinite(weight) & (weight > 0)))
    if bad.size:
        raise InputError(
            f"manifest: sample_weight {weight[bad[0]]:g} in row {bad[0]} is no weight", "see `lensctl gate weights`"
        )


def _of_catalogues(table: pa.Table, names: Sequence[str], label: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Lenses that one of these catalogues names: `ref` joins by | the catalogues that know a lens.

    InputError for a name that no lens has.
    """
    schema.require(table, "ref", where="manifest")
    known_to = [
        {part.strip() for part in ref.split("|")} if ref and is_lens else set()
        for ref, is_lens in zip(table["ref"].to_pylist(), label == 1, strict=True)
    ]
    known = sorted(set().union(*known_to) - {""})
    for name in names:
        if name not in known:
            raise InputError(
                f"--without-ref {name}: no lens of the manifest has it{nearest(name, known)}",
                f"use one of: {', '.join(known[:8]) or 'there are none'}",
            )
    return np.array([not refs.isdisjoint(names) for refs in known_to], bool)


def _shares_sky(ra: NDArray[np.float64], dec: NDArray[np.float64], split: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Rows whose cutout overlaps one that judges them: train before val before test."""
    rank = np.select([split == "train", split == "val"], [0, 1], 2)
    first, second = geometry.overlapping_pairs(ra, dec)
    yields = np.zeros(len(split), bool)
    yields[first[rank[first] < rank[second]]] = True
    yields[second[rank[second] < rank[first]]] = True
    return yields


def _storage_order(table: pa.Table) -> NDArray[np.int64]:
    """Row numbers by cutout_path, cutout_index, galaxy_id: whatever the manifest's own order, the same run."""
    import pyarrow.compute as pc

    keys = [(name, "ascending") for name in ("cutout_path", "cutout_index", "galaxy_id")]
    return np.asarray(pc.sort_indices(table, sort_keys=keys).to_numpy(), np.int64)
