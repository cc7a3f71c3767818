"""What is to be scored: rows of a store, a manifest or a table, where their cutouts come from, and their provenance."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.io.cutouts import cutout_paths
from lensctl.io.cutouts.by_manifest import Cutouts, Origin, origin_of, root_of
from lensctl.io.cutouts.store import open_store
from lensctl.io.imaging.bricks import refuse_other_release, releases_of
from lensctl.io.imaging.coadds import CoaddSource
from lensctl.io.imaging.making import checked
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Chain, Input, chain_of, step_input
from lensctl.io.reporter import Reporter
from lensctl.io.tables.files import read_table
from lensctl.learning.networks.checkpoint import ScoringModel
from lensctl.learning.networks.scorer import refuse_other_cutouts
from lensctl.learning.networks.scoring import Read
from lensctl.rules.errors import InputError
from lensctl.rules.survey import Survey

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Given:
    """What is to be scored: rows, a reader of their cutouts or where these are cut, and its provenance."""

    table: pa.Table
    cutouts: Read | CoaddSource
    survey: Survey
    inputs: tuple[Input, ...]
    chains: tuple[Chain, ...]
    parameters: Mapping[str, Any]


def of_store(
    input: str,
    output: str,
    root: str | Path | None,
    survey: Survey | str | None,
    model: ScoringModel,
    check: bool,
    report: Reporter,
) -> Given:
    """The cutouts of a store; its rows are named by cutout_path and cutout_index if it is below the output's folder."""
    store = open_store(input)
    of = refuse_other_cutouts(model, (store.chain, *origin_of(store).chains), origin_of(store), survey)
    table = store.index
    base = root_of(output, root) if output != "-" or root is not None else None
    try:
        named = None if base is None else cutout_paths.relative(input, base)
    except InputError:
        if root is not None:
            raise
        named = None
        report.say(
            f"the scores name no cutouts: {input} is not below their folder; to see them, add --root with a folder "
            "that holds the store, here and in show and evaluate"
        )
    if named is not None:
        table = with_cutout_paths(table, named)
    _tell(store.recorded.note, check, report)
    read = functools.partial(store.read, crop=model.card.crop, check=check)
    return Given(table, read, of, (step_input("store", input, store.digest, store.chain),), (store.chain,), {})


def with_cutout_paths(index: pa.Table, path: str) -> pa.Table:
    """The index of a store with the columns that name its cutouts."""
    import pyarrow as pa

    for name, values in (
        ("cutout_path", pa.array([path] * index.num_rows, pa.string())),
        ("cutout_index", pa.array(np.arange(index.num_rows), pa.int64())),
    ):
        index = index.append_column(name, values)
    return index


def of_manifest(
    input: str,
    format: str | None,
    root: str | Path | None,
    survey: Survey | str | None,
    model: ScoringModel,
    check: bool,
    report: Reporter,
) -> Given:
    """The cutouts that a manifest names."""
    cutout_root = root_of(input, root)
    table = read_table(input, format=format if input == "-" else None)
    chain = chain_of(table, input)
    cutouts = Cutouts(table, cutout_root)
    origin = cutouts.origin()
    of = refuse_other_cutouts(model, (chain, *origin.chains), origin, survey)
    _tell(cutouts.recorded.note, check, report)
    read = functools.partial(cutouts.read, crop=model.card.crop, check=check)
    return Given(table, read, of, (step_input("manifest", input, digests.of_table(table), chain),), (chain,), {})


def of_coadds(
    source: str,
    input: str,
    format: str | None,
    root: str | Path | None,
    survey: Survey | str | None,
    model: ScoringModel,
    max_empty: float,
    workers: int | None,
) -> Given:
    """The rows of a table, with the bricks that their cutouts are cut from."""
    if source != "coadd":
        raise InputError(f"no source '{source}' to score from", "use coadd, or make a store with `lensctl cutout`")
    if root is None:
        raise InputError("no folder of coadds is given", "add --root FOLDER, the one that holds coadd/")
    objects = read_table(input, format=format if input == "-" else None)
    chain = chain_of(objects, input)
    of = refuse_other_cutouts(model, (chain,), Origin((), (), ()), survey or (None if chain else model.card.survey))
    where = "stdin" if input == "-" else input
    rows = checked(objects, where, of)
    refuse_other_release(rows, releases_of(model.card.layers), where)
    size = max(of.cutout_size_px, model.card.crop)
    coadds = CoaddSource(str(root), size, of, processes=workers, max_empty=max_empty)
    opened = coadds.open()
    opened.refuse_empty()
    origin = opened.origin()
    inputs = (step_input("table", input, digests.of_table(objects), chain), *((origin[0],) if origin else ()))
    chains = (chain, *((origin[1],) if origin else ()))
    return Given(rows, coadds, of, inputs, chains, {"source": source, "root": opened.name, "max_empty": max_empty})


def _tell(note: str, check: bool, report: Reporter) -> None:
    if check and note:
        report.say(note)
