"""Inputs of gates: read lazily, once for all gates that run together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lensctl.gates.classes import NAMES
from lensctl.io.cutouts.listing import SIDE, SIDES
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import chain_of, common_survey, from_list
from lensctl.io.storage.s3 import is_s3
from lensctl.io.tables.files import chain_at, read_table
from lensctl.io.tables.parquet import parquet_dataset
from lensctl.io.tables.paths import format_of, readable
from lensctl.rules.config import json_value
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from lensctl.io.provenance.steps import Chain
    from lensctl.rules.survey import Survey

METRICS = "metrics.json"
INJECTIONS = "tables/injections.parquet"
"""Of the folder of a selection function; it names the survey."""


class Inputs:
    """The inputs of one `lensctl gate` call.

    Parameters
    ----------
    paths : sequence of str
        As given: tables, a manifest, a store, an evaluation's folder.
    root : Path, optional
        Folder that a manifest's cutout_path is relative to; default: the manifest's folder.
    survey : Survey or str, optional
        Survey of inputs that do not record theirs, as a value, a name or a YAML file; default ls-dr10.

    Attributes
    ----------
    digest : str
        Digest of the input; for several, the digest of their digests in order. It covers the content of a table, the
        parquet footers of a pool, the index of a store, or metrics.json of an evaluation.
    """

    def __init__(self, paths: Sequence[str], root: Path | None = None, survey: Survey | str | None = None) -> None:
        self.paths = tuple(paths)
        self._root = root
        self._survey = survey
        self._digest: str | None = None

    @property
    def digest(self) -> str:
        """See the class; a gate whose input is not a table sets it with `set_digest`."""
        return self._digest or self._table_digest

    @cached_property
    def _table_digest(self) -> str:
        each = [digests.of_table(table) for table in self.tables]
        return each[0] if len(each) == 1 else digests.of_many(each)

    def set_digest(self, digest: str | None) -> None:
        """Set the digest of an input that is not a table; None resets it."""
        self._digest = digest

    @property
    def path(self) -> str:
        """The single input; InputError if several were given."""
        self.refuse_several()
        return self.paths[0]

    def refuse_several(self) -> None:
        """Raise InputError unless there is exactly one input."""
        if len(self.paths) != 1:
            raise InputError(f"this gate takes one input, not {len(self.paths)}", "see `lensctl gate list`")

    @cached_property
    def tables(self) -> tuple[pa.Table, ...]:
        """Every input as a table; tables without rows are allowed."""
        return tuple(read_table(path, allow_empty=True) for path in self.paths)

    @property
    def manifest(self) -> pa.Table:
        """The single input as a table."""
        self.refuse_several()
        return self.tables[0]

    def named_tables(self) -> Iterator[tuple[str, pa.Table]]:
        """Each table with its name for error messages."""
        names = ("stdin" if path == "-" else path for path in self.paths)
        return zip(names, self.tables, strict=True)

    @cached_property
    def survey(self) -> Survey:
        """The one survey of the inputs, from their provenance; rows of parquet tables and stores are not read.

        Raises InputError if they are of two surveys, or of another than the one given.
        """
        return common_survey(self._survey, *(self._chain(place) for place in range(len(self.paths))))

    @cached_property
    def cutout_arcsec(self) -> Mapping[int, float]:
        """Side of the largest cutout of positives (1) and negatives (0), as the manifests given recorded it.

        Empty if none did; earlier versions recorded one side for both.
        """
        found: dict[int, float] = {}
        for step in (step for place in range(len(self.paths)) for step in self._chain(place)):
            if step.command != "manifest":
                continue
            by_class = step.parameters.get(SIDES)
            for label, name in NAMES.items():
                side = by_class.get(name) if isinstance(by_class, Mapping) else step.parameters.get(SIDE)
                if isinstance(side, float):
                    found[label] = max(side, found.get(label, 0.0))
        return found

    def _chain(self, place: int) -> Chain:
        """Provenance of an input; empty if it has none or cannot be read, which the gate reports."""
        from lensctl.io.cutouts.store import is_store, open_store

        path = self.paths[place]
        if (Path(path) / METRICS).is_file():
            return _chain_of_evaluation(Path(path) / METRICS)
        if (Path(path) / INJECTIONS).is_file():
            return chain_at(str(Path(path) / INJECTIONS))
        if path != "-" and is_store(path):
            return open_store(path).chain
        kind = format_of(path)
        if kind == "arrow":
            return chain_of(self.tables[place], path)
        if kind != "parquet":
            return ()
        try:
            with readable(path):
                columns = parquet_dataset(path).schema
        except InputError:
            return ()
        return chain_of(columns, path)

    @property
    def root(self) -> str:
        """Folder, on disk or S3, that a manifest's cutout_path is relative to."""
        if self._root is not None:
            return str(self._root)
        if self.path == "-":
            raise InputError("a manifest on stdin has no folder to resolve cutout_path against", "add --root FOLDER")
        if is_s3(self.path):
            return self.path.rpartition("/")[0]
        return str(Path(self.path).absolute().parent)


def _chain_of_evaluation(metrics: Path) -> Chain:
    try:
        steps = json_value(metrics.read_bytes()).get("provenance", [])
    except (AttributeError, ValueError):
        return ()
    return from_list(steps, str(metrics))
