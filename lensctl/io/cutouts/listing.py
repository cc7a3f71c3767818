"""The cutouts of a store or of a folder of .npz, as the rows of a manifest name them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.io.cutouts import npz, npz_metadata
from lensctl.io.cutouts.by_manifest import carried_chain, merged, npz_files, verdict
from lensctl.io.cutouts.cutout_paths import relative
from lensctl.io.cutouts.store import is_store, open_store
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Chain
from lensctl.rules import quality, schema
from lensctl.rules.acceptance import MAX_EMPTY
from lensctl.rules.errors import InputError
from lensctl.rules.survey import Survey

if TYPE_CHECKING:
    import pyarrow as pa

LISTED = ("galaxy_id", "ra", "dec", "cutout_path", "cutout_index", "cutout_ok", "status", "cutout_sha256")
SIDE, SIDES = "cutout_arcsec", "cutout_arcsec_by_class"
"""What a manifest's provenance calls the side of its largest cutout, and of each class's, arcsec."""


@dataclass(frozen=True)
class CutoutListing:
    """The cutouts of one store or folder of .npz.

    Attributes
    ----------
    rows : pa.Table
        galaxy_id, position, path, usability and SHA-256 of each.
    bands : int
        Planes of every cutout.
    sizes : set of (pixels, arcsec per pixel)
        Sides and pixel scales that occur; a scale that is not recorded is None.
    knows_empty : bool
        Whether half-empty cutouts are marked; not in stores of earlier versions.
    """

    rows: pa.Table
    digest: str
    chain: Chain
    bands: int
    sizes: frozenset[tuple[int, float | None]]
    knows_empty: bool = True

    def side_arcsec(self, survey: Survey) -> float:
        """Side of the largest cutout; the survey's pixel scale where none is recorded."""
        return max(px * (scale or survey.pixel_scale_arcsec) for px, scale in self.sizes)


def listing(path: str | Path, folder: str | Path, max_empty: float = MAX_EMPTY) -> CutoutListing:
    """The cutouts of a store or a folder of .npz, as a manifest in `folder` names them.

    An .npz is measured, with `max_empty` as in `quality.measure`; a store has been when it was made.

    Raises InputError if it is neither, a file is damaged, or the files have different numbers of bands.
    """
    import pyarrow as pa

    if is_store(path):
        store = open_store(path)
        store.refuse_other_survey()
        known = store.columns("galaxy_id", "ra", "dec", "cutout_ok", "status", "cutout_sha256", "pixel_scale_arcsec")
        rows = known.append_column("cutout_path", pa.array([relative(path, folder)] * store.n, pa.string()))
        rows = rows.append_column("cutout_index", pa.array(np.arange(store.n)))
        sizes = frozenset((store.size, scale) for scale in known["pixel_scale_arcsec"].unique().to_pylist())
        listed = rows.select(LISTED)
        return CutoutListing(listed, store.digest, store.chain, len(store.bands), sizes, store.knows_empty)
    files = npz_files(path)
    columns: dict[str, list[Any]] = {name: [] for name in LISTED}
    chains: dict[bytes, Chain] = {}
    found_sizes: set[tuple[int, float | None]] = set()
    bands = 0
    for file in files:
        found = npz.read_npz(file)
        side, _, planes = found.cutout.shape
        bands = bands or planes
        if planes != bands:
            raise InputError(f"{file}: {planes} bands, {files[0].name} has {bands}", "keep them in two folders")
        measured = quality.measure(found.cutout[None], (), max_empty)
        known = npz_metadata.index_values(found.meta)
        found_sizes.add((side, known["pixel_scale_arcsec"]))
        for name in ("galaxy_id", "ra", "dec"):
            columns[name].append(known[name])
        columns["cutout_path"].append(relative(file, folder))
        columns["cutout_index"].append(None)
        columns["cutout_ok"].append(bool(measured["cutout_ok"][0]))
        columns["status"].append(verdict(known["status"], str(measured["status"][0])))
        columns["cutout_sha256"].append(quality.fingerprints(found.cutout[None])[0])
        chains |= {raw: chain for raw, chain in [carried_chain(found, file)] if raw not in chains}
    rows = pa.table({name: pa.array(columns[name], schema.arrow_type(name)) for name in LISTED})
    inside = rows.drop_columns(["ra", "dec"]).set_column(1, "cutout_path", pa.array([file.name for file in files]))
    return CutoutListing(rows, digests.of_table(inside), merged(chains.values()), bands, frozenset(found_sizes))


def refuse_other_bands(bands: int, where: str | Path, survey: Survey) -> None:
    """Raise InputError if the cutouts at a path do not have a plane for each band of the survey."""
    if bands != len(survey.bands):
        raise InputError(
            f"{where}: {bands} bands, survey {survey.name} has {', '.join(survey.bands)}",
            "name the survey of these cutouts with --survey",
        )
