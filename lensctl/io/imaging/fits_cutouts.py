"""Cutouts that somebody else has made: a folder of FITS files, one a galaxy or one a galaxy and band."""

from __future__ import annotations

import functools
import string
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.io import workers
from lensctl.io.cutouts.fits_file import FitsForm, UnknownUnit, Unusable, read_cutout
from lensctl.io.cutouts.writer import ShardWriter
from lensctl.io.imaging.source import CUT_COLUMNS, Advance, Cuts, Task, complete
from lensctl.rules.acceptance import MAX_EMPTY
from lensctl.rules.errors import InputError
from lensctl.rules.survey import Survey

if TYPE_CHECKING:
    import pyarrow as pa

NAMES = "{galaxy_id}.fits"
"""Name of a file by default."""


@dataclass(frozen=True)
class FitsSource:
    """A folder of FITS cutouts as a source, one shard a task, a process per core.

    Parameters
    ----------
    root : str
        The folder, on local disk.
    form : FitsForm
        What the cutouts must be.
    names : str
        Path of a file below it, with {galaxy_id} and, for a file a band, {band}.
    processes : int, optional
        One per core if not given. The result does not depend on it.
    max_empty : float
        See `quality.measure`.

    Raises
    ------
    InputError
        Names without {galaxy_id}, or that lead out of the folder.
    """

    root: str
    form: FitsForm
    names: str = NAMES
    processes: int | None = None
    max_empty: float = MAX_EMPTY
    name: str = "fits"

    def __post_init__(self) -> None:
        try:
            fields = {field for _, field, spec, turn in string.Formatter().parse(self.names) if field is not None}
            plain = not any(spec or turn for _, _, spec, turn in string.Formatter().parse(self.names))
        except ValueError:
            fields, plain = set(), False
        if not plain or "galaxy_id" not in fields or not fields <= {"galaxy_id", "band"}:
            raise InputError(f"--files {self.names} does not name the files of a galaxy", f"write it like '{NAMES}'")
        if Path(self.names).is_absolute() or ".." in Path(self.names).parts:
            raise InputError(f"--files {self.names} leads out of the folder", "name files below --root")

    @property
    def survey(self) -> Survey:
        """The survey whose bands it cuts."""
        return self.form.survey

    def files_of(self, galaxy_id: str) -> Mapping[str, Path] | Path:
        """The file of a galaxy, or one a band."""
        if "{band}" not in self.names:
            return Path(self.root, self.names.format(galaxy_id=galaxy_id))
        return {band: Path(self.root, self.names.format(galaxy_id=galaxy_id, band=band)) for band in self.survey.bands}

    def _paths(self, galaxy_id: str) -> list[Path]:
        files = self.files_of(galaxy_id)
        return [files] if isinstance(files, Path) else list(files.values())

    def prepare(self, table: pa.Table) -> pa.Table:
        """The table; InputError if the folder is missing or holds none of its cutouts, or the unit is not known."""
        if not Path(self.root).is_dir():
            raise InputError(f"{self.root}: no such folder", "name the folder of the FITS cutouts with --root")
        rows = zip(*(table[name].to_pylist() for name in ("galaxy_id", "ra", "dec")), strict=True)
        there = ((row, file) for row in rows for file in self._paths(row[0]) if file.is_file())
        (id, ra, dec), first = next(there, ((table["galaxy_id"][0].as_py(), 0.0, 0.0), None))
        if first is None:
            names = " or ".join(file.name for file in self._paths(id))
            raise InputError(
                f"{self.root}: none of {table.num_rows} galaxies has a file here, such as {names}", "see --files"
            )
        try:
            read_cutout(self.files_of(id), ra, dec, self.form)
        except UnknownUnit as error:
            raise InputError(f"{first}: the unit of the pixels is not known", error.reason) from error
        except Unusable:
            pass  # its row says so
        return table

    def order(self, shards: list[int]) -> list[int]:
        """The same shards."""
        return shards

    def make(self, tasks: Iterator[Task], writer: ShardWriter, advance: Advance) -> None:
        """Write the shard of every task, and report row statuses as they are done."""
        for done in workers.each(functools.partial(_make_shard, self, writer), tasks, self.processes):
            advance(done)


def _make_shard(source: FitsSource, writer: ShardWriter, task: Task) -> Counter[str]:
    return complete(task, cut(source, task.rows), source, writer)


def cut(source: FitsSource, rows: pa.Table) -> Cuts:
    """The cutouts of some galaxies; what cannot be used is NaN, with a status and the reason."""
    count, size = rows.num_rows, source.form.size
    images = np.full((count, size, size, len(source.survey.bands)), np.nan, np.float32)
    cuts = Cuts(images, {name: [None] * count for name in CUT_COLUMNS})
    for row, (id, ra, dec) in enumerate(
        zip(*(rows[name].to_pylist() for name in ("galaxy_id", "ra", "dec")), strict=True)
    ):
        found: dict[str, Any] = {"url_or_brick": source.names.format(galaxy_id=id, band="{band}")}
        try:
            read = read_cutout(source.files_of(id), ra, dec, source.form)
        except Unusable as error:
            found |= {"status": error.status, "error": error.reason}
        else:
            images[row] = read.image
            x, y = read.offset_px
            found |= {"offset_x_px": x, "offset_y_px": y, "pixel_scale_arcsec": read.pixel_scale_arcsec}
        for name, value in found.items():
            cuts.columns[name][row] = value
    return cuts
