"""The cutout store: a Zarr v3 group of sharded pixels, with everything else in `index.parquet`.

Any Zarr reader opens `images` (row, y, x, band) and the per-row arrays; any parquet reader opens the index.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lensctl.io.cutouts.arrays import open_array, tensorstore_errors
from lensctl.io.cutouts.layout import ATTRIBUTE, FORMAT, GROUP, IMAGES, INDEX, KIND, Layout
from lensctl.io.cutouts.recorded import Recorded
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Chain, from_list, survey_of
from lensctl.io.storage.incomplete import INCOMPLETE
from lensctl.io.storage.s3 import is_s3
from lensctl.io.unpacking import read_parquet_file
from lensctl.rules.config import as_written, json_value
from lensctl.rules.errors import InputError, first_line
from lensctl.rules.survey import Survey

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.fs

Images = NDArray[np.float32]
ZARR_2 = (".zgroup", ".zarray")
"""Files that make a folder a group or an array of Zarr 2."""


class Store:
    """A finished store, opened for reading.

    Threads may share an instance, and it may be sent to spawned processes. TensorStore crashes forked ones.

    Parameters
    ----------
    path : str
        Local folder or `s3://`.
    changing : bool
        Some of its shards are being rewritten by this run, so pixels are not compared with the index.

    Raises
    ------
    InputError
        Not a store, an incomplete one, or one being written; the message names the file.
    """

    def __init__(self, path: str, *, changing: bool = False) -> None:
        self.path = str(path).rstrip("/")
        self._changing = changing
        self._files, self._base = _file_system(str(path))
        if not changing and self._is_file(INCOMPLETE):
            raise InputError(
                f"{self.path} is incomplete: still being written, or interrupted", "wait, or rerun the command"
            )
        group = self._json(GROUP)  # not through zarr, whose import takes 0.2 s, four times what opening takes
        attributes = dict(group.get("attributes") or {}).get(ATTRIBUTE)
        if not isinstance(attributes, dict) or attributes.get("kind") != KIND:
            raise InputError(f"{self.path}/{GROUP}: not a cutout store of lensctl", "make one with cutout or pack")
        if attributes.get("format") != FORMAT:
            raise InputError(f"{self.path}: store format {attributes.get('format')} is unknown", "update lensctl")
        self.attributes: dict[str, Any] = attributes
        with as_written(f"{self.path}/{GROUP}", "make it again"):
            fields = {key: attributes[key] for key in Layout.__dataclass_fields__ if key not in ("bands", "planes")}
            bands = tuple(map(str, attributes["bands"]))  # 0.1.0 wrote them as one word
            self.layout = Layout(**fields, bands=bands, planes=tuple(attributes.get("planes", ())))
            sizes = [int(size) for size in attributes["shard_bytes"]]
            of_planes = {name: [int(size) for size in attributes["plane_bytes"][name]] for name in self.layout.planes}
        if not changing:
            self._check_shard_sizes(sizes, of_planes)
        self._check_index()

    @property
    def n(self) -> int:
        """Number of cutouts."""
        return self.layout.rows

    @property
    def size(self) -> int:
        """Pixels along a side."""
        return self.layout.size

    @property
    def bands(self) -> tuple[str, ...]:
        """Name of each plane, in the order of the last axis."""
        return self.layout.bands

    @functools.cached_property
    def survey(self) -> Survey:
        """The survey its cutouts are of: the one it names, else ls-dr10."""
        return survey_of(self.chain)

    def refuse_other_survey(self) -> None:
        """Raise InputError if bands differ from the survey's or, where the store names none, layers or scale do."""
        import pyarrow.compute as pc

        survey = self.survey
        if self.bands != survey.bands:
            found, wanted = ", ".join(self.bands), ", ".join(survey.bands)
            raise InputError(f"{self.path}: bands {found}, survey {survey.name} has {wanted}", "make the store again")
        if "survey" in self.attributes:
            return
        known = self.columns("layer", "pixel_scale_arcsec")
        layers, scales = (pc.unique(known[name].drop_null()).to_pylist() for name in known.column_names)
        others = [layer for layer in layers if not layer.startswith(survey.layer.split("-")[0])]
        others += [f"{s:g} arcsec per pixel" for s in scales if not abs(s / survey.pixel_scale_arcsec - 1) <= 0.01]
        if others:
            raise InputError(
                f"{self.path} names no survey, and is not of {survey.name}: {', '.join(others)}",
                "make the store again, with --survey",
            )

    @functools.cached_property
    def chain(self) -> Chain:
        """The steps that made the store, its own last."""
        return from_list(self.attributes.get("provenance", []), self.path)

    @functools.cached_property
    def index(self) -> pa.Table:
        """Everything but the pixels, one row per cutout, in the store's order."""
        return self.columns()

    def columns(self, *names: str) -> pa.Table:
        """Read some columns of the index; all if none is named."""
        import pyarrow as pa

        try:
            with self._files.open_input_file(f"{self._base}/{INDEX}") as file:
                return read_parquet_file(file, list(names) or None)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise InputError(f"{self.path}/{INDEX}: cannot be read ({first_line(error)})", "make it again") from error

    @functools.cached_property
    def digest(self) -> str:
        """Digest of the index, which includes each cutout's digest; columns that vary between runs do not count."""
        return digests.of_table(self.index)

    def read(self, rows: ArrayLike, crop: int | None = None, *, check: bool = True) -> Images:
        """Cutouts of some rows, in the order given; rows may repeat.

        Parameters
        ----------
        rows : (n,) int
        crop : int, optional
            Only the central `crop` pixels of each side.
        check : bool
            Compare the pixels of whole cutouts with the index's `cutout_sha256`.

        Returns
        -------
        images : (n, S, S, B) float32
            Nanomaggies; all NaN for a failed cutout.

        Raises
        ------
        InputError
            A row out of range, a crop larger than the cutouts, a damaged or missing shard, or pixels other than those
            recorded.
        """
        wanted = np.asarray(rows, np.int64).reshape(-1)
        if wanted.size and (wanted.min() < 0 or wanted.max() >= self.n):
            outside = int(wanted[(wanted < 0) | (wanted >= self.n)][0])
            raise InputError(
                f"{self.path}: no row {outside}, the store has {self.n} cutouts", "is it the store of this table?"
            )
        return self._read(wanted, wanted, crop, check=check) if wanted.size else self._none(crop)

    def read_range(self, start: int, stop: int, crop: int | None = None, *, check: bool = True) -> Images:
        """Cutouts of rows `start` to `stop` (exclusive), like `read`."""
        if not 0 <= start <= stop <= self.n:
            raise InputError(
                f"{self.path}: no rows {start} to {stop}, the store has {self.n} cutouts", "is it the right store?"
            )
        rows = np.arange(start, stop)
        return self._read(slice(start, stop), rows, crop, check=check) if stop > start else self._none(crop)

    def read_plane(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop` (exclusive) of an additional array such as `invvar`: (n, S, S, B) or (n, S, S)."""
        if name not in self.layout.planes:
            raise InputError(f"{self.path}: no array '{name}'", "make the store with --planes")
        with tensorstore_errors(self.path):
            return np.asarray(self._opened(name)[start:stop].read().result())

    def read_plane_rows(self, name: str, rows: ArrayLike) -> NDArray[Any]:
        """Rows of an additional array, in any order: (n, S, S, B) or (n, S, S)."""
        wanted = np.asarray(rows, np.int64).reshape(-1)
        if not len(wanted):
            return self.read_plane(name, 0, 0)
        first, last = int(wanted.min()), int(wanted.max()) + 1
        if last - first <= 2 * len(wanted):  # nearly all of a range: one read
            return self.read_plane(name, first, last)[wanted - first]
        with tensorstore_errors(self.path):
            return np.asarray(self._opened(name)[wanted].read().result())

    def _side(self, crop: int | None) -> slice:
        if crop is None:
            return slice(0, self.size)
        if not 1 <= crop <= self.size:
            raise InputError(f"{self.path}: cannot crop cutouts of {self.size} px to {crop}", "give a smaller crop")
        start = (self.size - crop) // 2
        return slice(start, start + crop)

    def _none(self, crop: int | None) -> Images:
        side = self._side(crop)
        width = side.stop - side.start
        return np.empty((0, width, width, len(self.bands)), np.float32)

    def _read(self, where: Any, rows: NDArray[np.int64], crop: int | None, *, check: bool) -> Images:
        side, compared = self._side(crop), check and not self._changing
        with tensorstore_errors(self.path):
            cut = self._images[where] if compared else self._images[where, side, side]
            images = np.asarray(cut.read().result())
        if not compared:
            return images
        self.recorded.refuse_other_pixels(rows, images, self.path, "copy or make the store again")
        return images[:, side, side]

    @functools.cached_property
    def recorded(self) -> Recorded:
        """What the index recorded of each cutout's pixels."""
        known = self.columns("galaxy_id", "cutout_sha256").combine_chunks()
        return Recorded(*(known[name].combine_chunks() for name in known.column_names))

    @functools.cached_property
    def _images(self) -> Any:
        return self._opened(IMAGES)

    def _opened(self, name: str) -> Any:
        """An array of pixels; InputError if its own metadata says another shape, or other chunks than one a cutout."""
        array, shape = open_array(f"{self.path}/{name}", read=True), self.layout.shape(name)
        if tuple(array.shape) != shape or tuple(array.chunk_layout.read_chunk.shape) != (1, *shape[1:]):
            raise InputError(
                f"{self.path}/{name}/{GROUP}: not the shape or chunks of the store", "make the store again"
            )
        return array

    def __getstate__(self) -> dict[str, Any]:
        """Only the path travels to another process."""
        return {"path": self.path, "changing": self._changing}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"], changing=state["changing"])  # type: ignore[misc]

    def _json(self, name: str) -> dict[str, Any]:
        try:
            with self._files.open_input_stream(f"{self._base}/{name}") as stream:
                found = json_value(stream.read())
        except FileNotFoundError as error:
            _refuse_zarr_2(self._files, self._base, self.path)
            why = (
                "no such store" if self._is_absent() else f"{name} is missing: not a cutout store, or an incomplete one"
            )
            raise InputError(f"{self.path}: {why}", "check the path, or make it with cutout or pack") from error
        except NotADirectoryError as error:
            raise InputError(f"{self.path}: a file, not a cutout store", "make one with cutout or pack") from error
        except ValueError as error:
            raise InputError(f"{self.path}/{name}: damaged ({error})", "make the store again") from error
        if not isinstance(found, dict):
            raise InputError(f"{self.path}/{name}: not Zarr metadata", "make the store again")
        return found

    def _is_file(self, name: str) -> bool:
        import pyarrow.fs

        return bool(self._files.get_file_info(f"{self._base}/{name}").type == pyarrow.fs.FileType.File)

    def _is_absent(self) -> bool:
        import pyarrow.fs

        return bool(self._files.get_file_info(self._base).type == pyarrow.fs.FileType.NotFound)

    def _check_shard_sizes(self, sizes: list[int], of_planes: dict[str, list[int]]) -> None:
        """Check that every shard is there with its recorded length; Zarr itself reads a missing one as NaN."""
        shards = range(self.layout.shards)
        expected: dict[str, int | None] = {}
        for array, each in {IMAGES: sizes, **of_planes}.items():
            if len(each) != len(shards):
                raise InputError(f"{self.path}/{GROUP}: lists {len(each)} of {len(shards)} shards", "make it again")
            file = self.layout.file if array == IMAGES else functools.partial(self.layout.plane_file, array)
            expected |= {f"{array}/{GROUP}": None, **dict(zip(map(file, shards), each, strict=True))}
        infos = self._files.get_file_info([f"{self._base}/{name}" for name in expected])
        for (name, size), info in zip(expected.items(), infos, strict=True):
            if not info.is_file:
                raise InputError(f"{self.path}/{name} is missing", "copy or make the store again")
            if size is not None and info.size != size:
                raise InputError(f"{self.path}/{name} has {info.size} bytes of {size}", "copy or make the store again")

    def _check_index(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        name = f"{self.path}/{INDEX}"
        try:
            with self._files.open_input_file(f"{self._base}/{INDEX}") as file:
                footer = pq.read_metadata(file)
                names = set(footer.schema.names)
        except (pa.ArrowException, OSError, ValueError) as error:  # a name that is no UTF-8 is a ValueError
            raise InputError(f"{name}: cannot be read ({first_line(error)})", "copy or make the store again") from error
        if footer.num_rows != self.n:
            raise InputError(f"{name} has {footer.num_rows} rows, images {self.n}", "copy or make the store again")
        self.knows_empty = set(self.layout.empty_columns) <= names
        """Whether half-empty cutouts are marked: the index says how much of each is empty."""
        lacking = [column for column in self.layout.required_columns if column not in names]
        if lacking:
            raise InputError(f"{name}: column '{lacking[0]}' is missing", "copy or make the store again")


def open_store(path: str | os.PathLike[str], *, changing: bool = False) -> Store:
    """Open a finished store; InputError naming the file if it is not a store or incomplete."""
    return Store(str(path), changing=changing)


def is_store(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a folder (or S3 prefix) with Zarr metadata; InputError if it is of version 2."""
    files, base = _file_system(str(path))
    if files.get_file_info(f"{base}/{GROUP}").is_file:
        return True
    _refuse_zarr_2(files, base, str(path))
    return False


def _refuse_zarr_2(files: pyarrow.fs.FileSystem, base: str, path: str) -> None:
    if any(info.is_file for info in files.get_file_info([f"{base}/{name}" for name in ZARR_2])):
        raise InputError(
            f"{path} is Zarr of version 2, and no store of lensctl",
            "write its images as .npz with cutout, meta_galaxy_id, meta_ra and meta_dec, and `lensctl pack` those",
        )


def _file_system(path: str) -> tuple[pyarrow.fs.FileSystem, str]:
    """The file system of a path, and the path in it without a slash at its end."""
    import pyarrow.fs

    if is_s3(path):
        from lensctl.io.storage import s3

        return s3.filesystem(), "/".join(s3.split_url(path)).rstrip("/")
    return pyarrow.fs.LocalFileSystem(), path.rstrip("/")
