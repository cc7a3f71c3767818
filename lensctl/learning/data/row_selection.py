"""Selection of the training and validation rows of a manifest, with reasons for rows left out."""

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
from lensctl.rules.split import calibrates
from lensctl.rules.survey import LS_DR10

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

NEEDED = ("galaxy_id", "cutout_path", "cutout_index", "label", "sample_weight", "split", "cutout_ok")
LEAST_LENSES = 100
"""Lenses of val from which on a part of it is kept for thresholds: fewer tell neither well."""

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
        1 for a lens, else 0.
    target : (N,) float32
        Target in the loss: the label, or slightly less for tier B.
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
        """Numbers of lenses and non-lenses."""
        positives = int((self.label == 1).sum())
        return {"positives": positives, "negatives": len(self) - positives}


@dataclass(frozen=True)
class Fold:
    """Cross-validation fold over the sky: part `number` of `of` is test, the next part val, the rest train."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Fold:
        """Parse `K/N` with 1 <= K <= N, N >= 3; InputError otherwise."""
        number, slash, of = text.partition("/")
        if slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of) and int(of) >= 3:
            return cls(int(number), int(of))
        raise InputError(f"--fold {text}: not a fold", "use K/N with K from 1 to N and N at least 3, such as 1/5")

    def splits(self, pixels: NDArray[np.int64], seed: int) -> NDArray[np.str_]:
        """Split of each HEALPix pixel: (N,) int64 to (N,) text.

        A pixel's part is floor(u * of), u = first 4 bytes, big-endian, of SHA-256("{pixel}_{seed}_fold") / 2**32.
        """
        unique, inverse = np.unique(pixels, return_inverse=True)
        heads = [hashlib.sha256(f"{pixel}_{seed}_fold".encode("ascii")).digest()[:4] for pixel in unique.tolist()]
        parts = np.array([int.from_bytes(head, "big") * self.of >> 32 for head in heads], np.int64)
        after = (parts - (self.number - 1)) % self.of
        names = np.array(["test", "val", *["train"] * (self.of - 2)])
        return np.asarray(names[after][inverse])


def refold(manifest: pa.Table, fold: Fold, seed: int) -> pa.Table:
    """The manifest with `split` replaced by the fold's, from `healpix_128`."""
    import pyarrow as pa

    schema.require(manifest, "healpix_128", "split", where="manifest")
    schema.refuse_nulls(manifest, "healpix_128", where="manifest")
    splits = fold.splits(manifest["healpix_128"].to_numpy(), seed)
    return manifest.set_column(manifest.column_names.index("split"), "split", pa.array(splits.tolist(), pa.string()))


@dataclass(frozen=True)
class RowSelection:
    """Training rows, validation rows, the number of rows left out by reason, and rows of val kept for thresholds."""

    train: Rows
    val: Rows
    left_out: Counter[str]
    calibrate: int = 0


def select_rows(
    manifest: pa.Table,
    *,
    fold: Fold | None = None,
    fold_seed: int = 42,
    without_ref: Sequence[str] = (),
    tier_b_target: float = 1.0,
    size_arcsec: float = LS_DR10.cutout_arcsec,
    calibrate_share: float = 0.0,
) -> RowSelection:
    """Select the training and validation rows of a manifest.

    Parameters
    ----------
    manifest : pa.Table
        With the columns NEEDED; `healpix_128`, ra and dec for a fold, `ref` for without_ref, `tier` for tier_b_target.
    fold : Fold, optional
        Replaces the manifest's splits. Training rows whose cutout overlaps a validation or test row, and validation
        rows overlapping a test row, are left out, because the manifest only avoids overlaps between its own splits.
    without_ref : sequence of str
        Discovery catalogues whose lenses are excluded from training and validation, even if another catalogue also
        lists them.
    tier_b_target : float
        Target of tier B lenses; 0.95 is label smoothing.
    size_arcsec : float
        Side of a cutout, for a fold.
    calibrate_share : float
        Share of val's pixels that are kept out of validation, by `split.calibrates`, where val has LEAST_LENSES.

    Raises
    ------
    InputError
        Missing columns, nulls, invalid weights, a single class, or no validation rows.
    """
    schema.require(manifest, *NEEDED, where="manifest")
    schema.refuse_nulls(manifest, "galaxy_id", "cutout_path", "label", "sample_weight", "split", where="manifest")
    schema.refuse_duplicates(manifest, where="manifest")
    schema.require_numbers(manifest, "label", "sample_weight", where="manifest")
    table = manifest if fold is None else refold(manifest, fold, fold_seed)
    split = np.asarray(table["split"].to_pylist(), dtype=object)
    label = table["label"].to_numpy().astype(np.float32)
    weight = table["sample_weight"].to_numpy().astype(np.float32)
    _refuse_invalid_values(split, label, weight)

    reason = np.full(len(split), "", dtype=object)
    if fold is not None:
        schema.refuse_bad_positions(table, where="manifest")
        reason[_shares_sky(table["ra"].to_numpy(), table["dec"].to_numpy(), split, size_arcsec)] = (
            "shares sky with another split"
        )
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
    val = usable & (where == "val")
    kept = np.zeros(len(val), bool)
    if calibrate_share and (everything.label[val] == 1).sum() >= LEAST_LENSES:
        schema.require(table, "healpix_128", where="manifest")
        schema.refuse_nulls(table, "healpix_128", where="manifest")
        kept = val & calibrates(table["healpix_128"].to_numpy()[everything.at], calibrate_share, fold_seed)
    selection = RowSelection(
        everything.take(usable & (where == "train")),
        everything.take(val & ~kept),
        Counter(str(r) for r in reason[np.isin(split, ("train", "val"))] if r),
        int(kept.sum()),
    )
    refuse_one_class(selection)
    return selection


def refuse_one_class(selection: RowSelection) -> None:
    """Raise InputError if a split has no rows or only one class."""
    for name, rows in (("train", selection.train), ("val", selection.val)):
        counts = rows.counts()
        left_out = "".join(f"; left out: {n:,} ({why})" for why, n in sorted(selection.left_out.items()))
        if not len(rows):
            raise InputError(
                f"the manifest has no usable rows with split '{name}'{left_out}", "see `lensctl gate splits`"
            )
        for what, count in counts.items():
            if not count:
                raise InputError(
                    f"the manifest has no usable {what} with split '{name}'{left_out}", "training needs both classes"
                )


def _refuse_invalid_values(split: NDArray[np.object_], label: NDArray[np.float32], weight: NDArray[np.float32]) -> None:
    unknown = sorted({str(s) for s in split} - {"train", "val", "test"})
    if unknown:
        raise InputError(f"manifest: split '{unknown[0]}' is not train, val or test", "see `lensctl gate splits`")
    if not np.isin(label, (0, 1)).all():
        row = int(np.flatnonzero(~np.isin(label, (0, 1)))[0])
        raise InputError(
            f"manifest: label {label[row]:g} in row {row} is neither 0 nor 1", "label lenses 1, non-lenses 0"
        )
    bad = np.flatnonzero(~(np.isfinite(weight) & (weight > 0)))
    if bad.size:
        raise InputError(
            f"manifest: sample_weight {weight[bad[0]]:g} in row {bad[0]} is not a valid weight",
            "see `lensctl gate weights`",
        )


def _of_catalogues(table: pa.Table, names: Sequence[str], label: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Lenses listed in one of these catalogues, from `ref`, which joins catalogues by |.

    InputError for a catalogue without lenses.
    """
    schema.require(table, "ref", where="manifest")
    catalogues = [
        {part.strip() for part in ref.split("|")} if ref and is_lens else set()
        for ref, is_lens in zip(table["ref"].to_pylist(), label == 1, strict=True)
    ]
    known = sorted(set().union(*catalogues) - {""})
    for name in names:
        if name not in known:
            raise InputError(
                f"--without-ref {name}: no lens in the manifest has this ref{nearest(name, known)}",
                f"use one of: {', '.join(known[:8]) or '(none)'}",
            )
    return np.array([not refs.isdisjoint(names) for refs in catalogues], bool)


def _shares_sky(
    ra: NDArray[np.float64], dec: NDArray[np.float64], split: NDArray[np.object_], size_arcsec: float
) -> NDArray[np.bool_]:
    """Training rows that overlap val or test rows, and val rows that overlap test rows."""
    rank = np.select([split == "train", split == "val"], [0, 1], 2)
    first, second = geometry.overlapping_pairs(ra, dec, size_arcsec)
    dropped = np.zeros(len(split), bool)
    dropped[first[rank[first] < rank[second]]] = True
    dropped[second[rank[second] < rank[first]]] = True
    return dropped


def _storage_order(table: pa.Table) -> NDArray[np.int64]:
    """Row numbers sorted by cutout_path, cutout_index, galaxy_id, so a run does not depend on the row order."""
    import pyarrow.compute as pc

    keys = [(name, "ascending") for name in ("cutout_path", "cutout_index", "galaxy_id")]
    return np.asarray(pc.sort_indices(table, sort_keys=keys).to_numpy(), np.int64)
