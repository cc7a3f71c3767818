"""What gates judge: read when the first gate asks for it, once for all that run together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lensctl.io.provenance import digests
from lensctl.io.storage.s3 import is_s3
from lensctl.io.tables.files import read_table
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa


class Inputs:
    """The inputs of one call of `lensctl gate`.

    Parameters
    ----------
    paths : sequence of str
        As given: tables, a manifest, a store, an evaluation's folder.
    root : Path, optional
        Folder that a manifest's cutout_path is relative to; else the manifest's own.

    Attributes
    ----------
    digest : str
        Digest of the one input, or of the digests of several in their order. Of a table its content, of a pool
        the parquet footers, of a store its index, of an evaluation its metrics.json.
    """

    def __init__(self, paths: Sequence[str], root: Path | None = None) -> None:
        self.paths = tuple(paths)
        self._root = root
        self._digest: str | None = None

    @property
    def digest(self) -> str:
        """See the class; a gate that reads something other than tables says so with `judged`."""
        return self._digest or self._of_tables

    @cached_property
    def _of_tables(self) -> str:
        each = [digests.of_table(table) for table in self.tables]
        return each[0] if len(each) == 1 else digests.of_many(each)

    def judged(self, digest: str | None) -> None:
        """Say what the digest of the input is, where it is no table; None takes it back."""
        self._digest = digest

    @property
    def path(self) -> str:
        """The one input; InputError where several were given."""
        self.refuse_several()
        return self.paths[0]

    def refuse_several(self) -> None:
        """Raise InputError where there is not one input."""
        if len(self.paths) != 1:
            raise InputError(f"this gate judges one input, {len(self.paths)} were given", "see `lensctl gate list`")

    @cached_property
    def tables(self) -> tuple[pa.Table, ...]:
        """Every input as a whole table; one without rows is a table too."""
        return tuple(read_table(path, allow_empty=True) for path in self.paths)

    @property
    def manifest(self) -> pa.Table:
        """The one input as a table."""
        self.refuse_several()
        return self.tables[0]

    def named_tables(self) -> Iterator[tuple[str, pa.Table]]:
        """Each table with the name to use in errors."""
        names = ("stdin" if path == "-" else path for path in self.paths)
        return zip(names, self.tables, strict=True)

    @property
    def root(self) -> str:
        """Folder, on disk or S3, that a manifest's cutout_path is relative to."""
        if self._root is not None:
            return str(self._root)
        if self.path == "-":
            raise InputError("paths in a manifest on stdin are relative to nothing", "add --root FOLDER")
        if is_s3(self.path):
            return self.path.rpartition("/")[0]
        return str(Path(self.path).absolute().parent)
