"""Pixels by manifest row, from stores, .npz files, or both."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lensctl.astro import geometry
from lensctl.io.cutouts import npz, npz_metadata
from lensctl.io.cutouts.cutout_paths import located, refuse_link_out
from lensctl.io.cutouts.recorded import Recorded
from lensctl.io.cutouts.store import Store, is_store, open_store
from lensctl.io.provenance.steps import Chain, from_json, survey_of, to_json
from lensctl.rules import quality, schema
from lensctl.rules.errors import InputError
from lensctl.rules.object_names import refuse_undecoded
from lensctl.rules.survey import Survey

if TYPE_CHECKING:
    import pyarrow as pa

Images = NDArray[np.float32]
SAME_PLACE_ARCSEC = 0.1
"""A cutout and its row agree to this distance; single precision is 0.06 arcsec."""
FACTS = ("source", "release", "layer", "pixel_scale_arcsec")


class Form(NamedTuple):
    """Survey of a cutout, the number of its bands, and its side in pixels."""

    survey: Survey
    bands: int
    size_px: int


@dataclass(frozen=True)
class Origin:
    """Where the usable cutouts of a manifest or store come from: distinct layers, pixel scales, and provenance."""

    layers: tuple[str, ...]
    pixel_scales_arcsec: tuple[float, ...]
    chains: tuple[Chain, ...]


def origin_of(store: Store, rows: NDArray[np.int64] | None = None) -> Origin:
    """The origin of some cutouts of a store; default all."""
    import pyarrow.compute as pc

    store.refuse_other_survey()
    known = store.columns("layer", "pixel_scale_arcsec", "cutout_ok")
    known = known if rows is None else known.take(rows)
    known = known.filter(known["cutout_ok"])
    layers, scales = (pc.unique(known[name].drop_null()).to_pylist() for name in ("layer", "pixel_scale_arcsec"))
    return Origin(tuple(sorted(layers)), tuple(sorted(scales)), (store.chain,))


class Cutouts:
    """The cutouts a manifest names.

    Parameters
    ----------
    manifest : pa.Table
        `galaxy_id`, `cutout_path`, and `cutout_index` where a path is a store.
    root : path
        Base folder of `cutout_path`.

    Raises
    ------
    InputError
        A store is missing or damaged, or its rows do not match the manifest.
    """

    def __init__(self, manifest: pa.Table, root: str | Path) -> None:
        import pyarrow.compute as pc

        schema.require(manifest, "galaxy_id", "cutout_path", where="manifest")
        schema.refuse_nulls(manifest, "galaxy_id", "cutout_path", where="manifest")
        self.n = manifest.num_rows
        self._ids = manifest["galaxy_id"].to_numpy(zero_copy_only=False)
        encoded = pc.dictionary_encode(manifest["cutout_path"]).combine_chunks()
        paths = encoded.dictionary.to_pylist()
        self._path_of = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        indexed = "cutout_index" in manifest.column_names
        index = pc.fill_null(manifest["cutout_index"], -1).to_numpy() if indexed else np.full(self.n, -1)
        self._index = np.asarray(index, np.int64)
        placed = {"ra", "dec"} <= set(manifest.column_names)
        self._place = manifest.select(["ra", "dec"] if placed else [])
        self._root = root
        self._files = [located(root, path) for path in paths]
        self._stores: dict[int, Store] = {}
        in_store = self._index >= 0
        for path in np.unique(self._path_of[in_store]):
            store = open_store(self._file(path))
            store.refuse_other_survey()
            rows = np.flatnonzero(in_store & (self._path_of == path))
            self._refuse_other_galaxies(store, rows)
            self._stores[int(path)] = store
        self.recorded = self._recorded(manifest)
        """What the manifest recorded of each cutout's pixels and, where it says nothing, its store."""

    def read(self, rows: ArrayLike, crop: int | None = None, *, check: bool = True) -> Images:
        """Cutouts of manifest rows, in the order given.

        Parameters
        ----------
        rows : (n,) int
        crop : int, optional
            Only the central `crop` pixels of each side.
        check : bool
            Compare the pixels of whole cutouts with the recorded `cutout_sha256`.

        Returns
        -------
        images : (n, S, S, B) float32, nanomaggies

        Raises
        ------
        InputError
            A file is missing or damaged, holds another galaxy or other pixels; or cutout sizes differ and no crop is
            given.
        """
        wanted = np.asarray(rows, np.int64).reshape(-1)
        if wanted.size and (wanted.min() < 0 or wanted.max() >= self.n):
            raise InputError(f"the manifest has no row {wanted.max()}, only {self.n} rows", "is it the right manifest?")
        out: Images | None = None
        for positions, images in self._parts(wanted, None if check else crop):
            if check:
                file = self._files[self._path_of[wanted[positions[0]]]]
                fix = "restore the cutouts, or make the manifest again"
                self.recorded.refuse_other_pixels(wanted[positions], images, file, fix)
                images = _centre(images, crop, file)
            if out is None:
                out = np.empty((len(wanted), *images.shape[1:]), np.float32)
            if out.shape[1:] != images.shape[1:]:
                what, at = ("bands", 3) if out.shape[3] != images.shape[3] else ("px", 1)
                sizes = f"{out.shape[at]} and {images.shape[at]} {what}"
                raise InputError(f"the manifest mixes cutouts of {sizes}", "make two manifests, or give a crop in px")
            out[positions] = images
        planes = next((len(store.bands) for store in self._stores.values()), 0)
        return np.empty((0, crop or 0, crop or 0, planes), np.float32) if out is None else out

    def facts(self, *names: str) -> pa.Table:
        """Columns of the stores' indexes (default `source`, `release`, `layer`, `pixel_scale_arcsec`).

        One row per manifest row; for an .npz, from its `meta_*`.
        """
        import pyarrow as pa

        names = names or FACTS
        values: dict[str, NDArray[Any]] = {name: np.full(self.n, None, object) for name in names}
        in_store = self._index >= 0
        for path, store in self._stores.items():
            rows = np.flatnonzero(in_store & (self._path_of == path))
            found = store.columns(*names).take(pa.array(self._index[rows]))
            for name in names:
                values[name][rows] = np.array([*found[name].to_pylist(), None], object)[:-1]
        for row in np.flatnonzero(~in_store):
            known = npz_metadata.index_values(npz.read_npz(self._file(self._path_of[row])).meta)
            for name in names:
                values[name][row] = known.get(name)
        return pa.table({name: pa.array(list(values[name]), schema.arrow_type(name)) for name in names})

    def forms(self) -> list[Form]:
        """What each row's cutout is by its store or .npz, whatever the manifest says; every .npz is opened for it."""
        found = [Form(store.survey, len(store.bands), store.size) for store in self._stores.values()]
        place = {path: k for k, path in enumerate(self._stores)}
        forms = []
        for row, path in enumerate(self._path_of.tolist()):
            if self._index[row] >= 0:
                forms.append(found[place[path]])
            else:
                one = npz.read_npz(self._file(self._path_of[row]))
                survey = survey_of(carried_chain(one, self._files[path])[1])
                forms.append(Form(survey, one.cutout.shape[2], one.cutout.shape[0]))
        return forms

    def origin(self) -> Origin:
        """Where the usable cutouts come from; every .npz is opened for it."""
        in_store = self._index >= 0
        found = [
            origin_of(store, self._index[in_store & (self._path_of == path)]) for path, store in self._stores.items()
        ]
        layers = {layer for one in found for layer in one.layers}
        scales = {scale for one in found for scale in one.pixel_scales_arcsec}
        chains = {to_json(chain).encode(): chain for one in found for chain in one.chains}
        for row in np.flatnonzero(~in_store):
            file = self._file(self._path_of[row])
            one = npz.read_npz(file)
            known = npz_metadata.index_values(one.meta)
            layers |= {known["layer"]} - {None}
            scales |= {known["pixel_scale_arcsec"]} - {None}
            raw, chain = carried_chain(one, file)
            chains.setdefault(raw, chain)
        return Origin(tuple(sorted(layers)), tuple(sorted(scales)), tuple(chains.values()))

    def _file(self, path: np.int64) -> str:
        """The store or file of a path, to be opened; InputError if a link leads out of the root."""
        refuse_link_out(self._root, self._files[path])
        return self._files[path]

    def _parts(self, wanted: NDArray[np.int64], crop: int | None) -> Iterator[tuple[NDArray[np.int64], Images]]:
        """Positions in the result and their cutouts, store by store, then file by file."""
        import pyarrow as pa

        in_store = self._index[wanted] >= 0
        for path, store in self._stores.items():
            positions = np.flatnonzero(in_store & (self._path_of[wanted] == path))
            if positions.size:
                yield positions, store.read(self._index[wanted[positions]], crop, check=False)
        for position in np.flatnonzero(~in_store):
            row = wanted[position]
            file = self._file(self._path_of[row])
            if is_store(file):
                raise InputError(f"{file} is a store, and row {row} has no cutout_index", "make the manifest again")
            found = npz.read_npz(file)
            id = str(found.meta["meta_galaxy_id"].item())
            if id != self._ids[row]:
                raise InputError(f"{file} holds {id}, the manifest says {self._ids[row]}", "make the manifest again")
            here = pa.table({name: [float(found.meta[f"meta_{name}"])] for name in ("ra", "dec")})
            self._refuse_other_places(np.array([row]), here, file)
            yield np.array([position]), _centre(found.cutout[None], crop, file)

    def _refuse_other_galaxies(self, store: Store, rows: NDArray[np.int64]) -> None:
        index = self._index[rows]
        if index.max() >= store.n:
            row = rows[index.argmax()]
            raise InputError(
                f"row {row} ({self._ids[row]}) has cutout_index {index.max()}, {store.path} has {store.n} cutouts",
                "the store and the manifest do not match: make the manifest again",
            )
        known = store.columns("galaxy_id", "ra", "dec").take(index)
        stored = known["galaxy_id"].to_numpy()
        other = np.flatnonzero(stored != self._ids[rows])
        if other.size:
            row = rows[other[0]]
            raise InputError(
                f"row {row} is {self._ids[row]}, but its place in {store.path} holds {stored[other[0]]} "
                f"({other.size} such rows)",
                "the store and the manifest do not match: make the manifest again",
            )
        self._refuse_other_places(rows, known, store.path)

    def _refuse_other_places(self, rows: NDArray[np.int64], cut: pa.Table, file: str) -> None:
        if self._place.num_columns:
            refuse_other_places(self._ids[rows], self._place.take(rows), cut, f"manifest and {file}")

    def _recorded(self, manifest: pa.Table) -> Recorded:
        import pyarrow as pa
        import pyarrow.compute as pc

        known = pa.nulls(self.n, pa.string())
        if "cutout_sha256" in manifest.column_names:
            known = manifest["cutout_sha256"].cast(pa.string()).combine_chunks()
        if known.null_count:
            by_store = np.full(self.n, None, object)
            for path, store in self._stores.items():
                rows = np.flatnonzero((self._index >= 0) & (self._path_of == path))
                by_store[rows] = store.recorded.sha256.take(self._index[rows]).to_numpy(zero_copy_only=False)
            known = pc.coalesce(known, pa.array(by_store, pa.string()))
        return Recorded(manifest["galaxy_id"].combine_chunks(), known)


def refuse_other_places(ids: Sequence[str], table: pa.Table, cut: pa.Table, where: str) -> None:
    """Raise InputError if cutouts lie elsewhere than the rows they are for, such as those of another release.

    Parameters
    ----------
    ids : (N,) str
        galaxy_id of the rows.
    table, cut : pa.Table
        `ra`, `dec` (degrees) of the rows and of their cutouts, in the same order; unknown ones are not compared.
    where : str
        What is compared, for the message.
    """
    ra, dec, cut_ra, cut_dec = (
        np.asarray(place[name].to_numpy(), float) for place in (table, cut) for name in ("ra", "dec")
    )
    known = np.flatnonzero(np.isfinite(ra + dec + cut_ra + cut_dec))
    apart = geometry.separation(ra[known], dec[known], cut_ra[known], cut_dec[known])
    far = np.flatnonzero(apart > SAME_PLACE_ARCSEC)
    if far.size:
        first, worst = far[0], apart.max()
        raise InputError(
            f"{where}: {far.size} of {len(ids)} cutouts lie elsewhere than their row says, such as that of "
            f"{ids[known[first]]}, {apart[first]:.3g} arcsec away (at most {worst:.3g})",
            "name the cutouts that were made from this table: an id may be another galaxy in another release",
        )


def root_of(manifest: str, root: str | Path | None) -> str:
    """Folder that a manifest's `cutout_path` is relative to: `root` if given, else the manifest's folder."""
    if root is not None:
        return str(root)
    if manifest == "-":
        raise InputError("a manifest on stdin has no folder to resolve cutout_path against", "add --root FOLDER")
    if "://" in manifest:
        return manifest.rpartition("/")[0]
    return str(Path(manifest).absolute().parent)


def npz_files(folder: str | Path) -> list[Path]:
    """The .npz files of a folder, in name order; InputError if there are none, or for a name that is not UTF-8."""
    if not Path(folder).is_dir():
        raise InputError(f"{folder}: no such store or folder of .npz", "check the path")
    with os.scandir(folder) as entries:
        names = sorted(e.name for e in entries if e.name.endswith(".npz") and not e.name.startswith("."))
    if not names:
        is_fits = any(entry.suffix == ".fits" for entry in Path(folder).iterdir())
        of_fits = "FITS cutouts become a store by `lensctl cutout TABLE STORE --source fits --root DIR`"
        raise InputError(
            f"{folder}: holds no .npz files", of_fits if is_fits else "name a cutout store, or a folder of .npz"
        )
    for name in names:
        refuse_undecoded(name)
    return [Path(folder) / name for name in names]


def verdict(recorded: str | None, found: str) -> str:
    """Status of a cutout, from its pixels unless a failure was recorded when it was made."""
    failed = recorded in quality.STATUSES and recorded not in quality.WITH_PIXELS
    return str(recorded) if failed and found != quality.OK else found


def carried_chain(file: npz.Npz, path: str | Path) -> tuple[bytes, Chain]:
    """Provenance of an .npz written by lensctl, and its raw bytes; empty for others."""
    member = file.meta.get(npz.PROVENANCE)
    if member is None or member.ndim or member.dtype.kind != "S":
        return b"", ()
    return bytes(member.item()), from_json(bytes(member.item()), str(path))


def merged(chains: Any) -> Chain:
    """The distinct steps of several chains, in order."""
    return tuple({step.id: step for chain in chains for step in chain}.values())


def _centre(images: Images, crop: int | None, name: str) -> Images:
    size = images.shape[1]
    if crop is None or crop == size:
        return images
    if not 1 <= crop <= size:
        raise InputError(f"{name} of {size} px cannot be cropped to {crop}", "give a smaller crop")
    start = (size - crop) // 2
    return images[:, start : start + crop, start : start + crop]
