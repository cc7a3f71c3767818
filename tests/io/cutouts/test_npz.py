"""The .npz door: what it refuses, what it writes, and that no `meta_*` is lost on the way through columns."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lensctl.io.cutouts import npz, npz_columns, npz_metadata
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from tests.toys.surveys import INFRARED

CUTOUT = np.random.default_rng(1).normal(0, 1, (101, 101, 3)).astype(np.float32)
META: dict[str, npz.Array] = {
    "meta_galaxy_id": np.array("0001m040_4091"),
    "meta_ra": np.array(0.10618843138217926),
    "meta_dec": np.array(-3.9557716846466064),
    "meta_type": np.array("SER"),
    "meta_nobs_z": np.array(8),
}


class Trap:
    """Unpickling this leaves a mark."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("unpickled",)


def same(a: npz.Array, b: npz.Array) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("compress", [False, True])
def test_what_is_written_numpy_reads_and_we_read_back(tmp_path: Path, compress: bool) -> None:
    npz.write_npz(tmp_path / "a.npz", CUTOUT, META, compress)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as theirs:
        assert theirs.files == ["cutout", *META]
        assert same(theirs["cutout"], CUTOUT)
        assert all(same(theirs[key], value) for key, value in META.items())
    ours = npz.read_npz(tmp_path / "a.npz")
    assert same(ours.cutout, CUTOUT)
    assert list(ours.meta) == list(META)
    assert all(same(ours.meta[key], value) for key, value in META.items())
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert archive.testzip() is None
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        kinds = {info.compress_type for info in archive.infolist()}
        assert kinds == {zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED}
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_the_same_arrays_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        npz.write_npz(tmp_path / f"{name}.npz", CUTOUT.copy(order="F"), dict(META))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_what_numpy_writes_we_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", cutout=CUTOUT.copy(order="F"), **META)
    assert same(npz.read_npz(tmp_path / "a.npz").cutout, CUTOUT)


def saved(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def without(key: str) -> dict[str, npz.Array]:
    return {k: v for k, v in {"cutout": CUTOUT, **META}.items() if k != key}


BAD = {
    "cut short": (saved(cutout=CUTOUT, **META)[:-200], "not a complete"),
    "cut at half": (saved(cutout=CUTOUT, **META)[:60000], "not a complete"),
    "empty": (b"", "not a complete"),
    "not a zip": (b"SIMPLE  =                    T" * 100, "not a complete"),
    "one byte wrong": (saved(cutout=CUTOUT, **META).replace(CUTOUT.tobytes()[400:404], b"abcd"), "not a complete"),
    "no cutout": (saved(**without("cutout")), "'cutout' is missing"),
    "no id": (saved(**without("meta_galaxy_id")), "'meta_galaxy_id' is missing"),
    "another key": (saved(cutout=CUTOUT, psf=CUTOUT, **META), "'psf' is neither"),
    "float64": (saved(cutout=CUTOUT.astype(float), **META), "not float32"),
    "big-endian": (saved(cutout=CUTOUT.astype(">f4"), **META), "not float32"),
    "two-dimensional": (saved(cutout=CUTOUT[..., 0], **META), "has shape"),
    "bands first": (saved(cutout=np.moveaxis(CUTOUT, 2, 0), **META), "has shape"),
    "no pixels": (saved(cutout=CUTOUT[:0, :0], **META), "has shape"),
    "ra is text": (saved(**{**without(""), "meta_ra": np.array("0.1")}), "meta_ra is not a number"),
    "id is a number": (saved(**{**without(""), "meta_galaxy_id": np.array(7)}), "meta_galaxy_id is not a string"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_by_name(tmp_path: Path, case: str) -> None:
    content, message = BAD[case]
    (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        npz.read_npz(tmp_path / "bad.npz")
    assert "bad.npz" in str(caught.value)


SMALL = {"cutout": CUTOUT[:3, :3], **META}
WRITTEN = [
    saved(**SMALL),
    b"".join(npz.encode(SMALL["cutout"], META)),
    b"".join(npz.encode(CUTOUT[:3, :3], META, True)),
]


@given(st.sampled_from(WRITTEN), st.data())
def test_a_changed_byte_is_refused_or_changes_no_value(content: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(content) - 1))
    changed = bytearray(content)
    changed[at] ^= data.draw(st.integers(1, 255))
    try:
        found = npz.read_npz("a.npz", bytes(changed))
    except InputError:
        return
    assert same(found.cutout, SMALL["cutout"])
    assert all(same(value, META[key]) for key, value in found.meta.items())


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        npz.read_npz(tmp_path / "none.npz")


def test_a_pickle_is_never_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trap = np.array([Trap()], dtype=object)
    np.savez("trap.npz", cutout=CUTOUT, **META, meta_trap=trap)
    with pytest.raises(InputError, match="'meta_trap' is pickled"):
        npz.read_npz("trap.npz")
    Path("bare.npz").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InputError, match="not a complete"):
        npz.read_npz("bare.npz")
    assert not Path("unpickled").exists()
    pickle.loads(Path("bare.npz").read_bytes())
    assert Path("unpickled").exists(), "the trap works"


def test_objects_are_not_written() -> None:
    with pytest.raises(ValueError, match="meta_x"):
        npz.encode(CUTOUT, {"meta_x": np.array(None)})


SCALARS = st.one_of(
    hnp.arrays(hnp.scalar_dtypes(), ()),
    hnp.arrays(st.sampled_from(["<U1", "<U8", "<U32", "S4", ">f8", ">U3", "<f2", "M8[ns]"]), ()),
    st.text(max_size=9).map(np.array),
    st.text(alphabet="\ud800a", max_size=3).map(np.array),
    hnp.arrays(st.sampled_from(["<f4", "<i8"]), hnp.array_shapes(max_dims=2, max_side=3, min_side=0)),
)
KEYS = st.dictionaries(st.sampled_from(["meta_a", "meta_b", "meta_c"]), SCALARS, max_size=3)
METAS = st.lists(KEYS.map(lambda keys: {"meta_galaxy_id": np.array("x"), **keys}), min_size=1, max_size=6)


@given(METAS)
@settings(deadline=None)
def test_meta_comes_back_from_columns_with_dtype_shape_and_bytes(metas: list[dict[str, npz.Array]]) -> None:
    back = npz_columns.metas_of(npz_columns.table_of(metas))
    assert len(back) == len(metas)
    for mine, theirs in zip(back, metas, strict=True):
        assert mine.keys() == theirs.keys()
        for key in theirs:
            assert same(mine[key], theirs[key]), (key, mine[key].dtype, theirs[key].dtype)


@given(METAS, METAS)
@settings(deadline=None)
def test_columns_of_two_folders_join_without_loss(first: list[Any], second: list[Any]) -> None:
    tables = [npz_columns.table_of(first), npz_columns.table_of(second)]
    fields = npz_columns.joined(table.schema for table in tables)
    for metas, table in zip((first, second), tables, strict=True):
        for mine, theirs in zip(npz_columns.metas_of(npz_columns.conform(table, fields)), metas, strict=True):
            assert mine.keys() == theirs.keys()
            assert all(same(mine[key], theirs[key]) for key in theirs)


def test_plain_scalars_are_plain_columns() -> None:
    table = npz_columns.table_of([META, {**META, "meta_type": np.array("DEVX")}])
    assert [str(field.type) for field in table.schema] == ["string", "double", "double", "string", "int64"]
    assert [npz_columns.kind_of(field) for field in table.schema] == ["U", "<f8", "<f8", "U", "<i8"]


def test_a_key_whose_dtype_differs_between_files_is_kept_as_npy() -> None:
    table = npz_columns.table_of([{"meta_a": np.array(1)}, {"meta_a": np.array(1.0)}, {}])
    assert npz_columns.kind_of(table.schema.field("meta_a")) == "npy"
    assert table["meta_a"].null_count == 1


def zipped(path: Path, **members: bytes) -> Path:
    """A deflated .npz of good members and these."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, raw in {**{k: npz.to_npy(v) for k, v in {"cutout": CUTOUT, **META}.items()}, **members}.items():
            archive.writestr(f"{name}.npy", raw)
    return path


def npy_of(descr: str, shape: tuple[int, ...], body: bytes = b"") -> bytes:
    """The bytes of an .npy file that need not hold what its header says."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue() + body


@pytest.mark.parametrize("is_simple", [True, False])
def test_a_member_that_would_fill_the_memory_is_refused_before_it_is_unpacked(tmp_path: Path, is_simple: bool) -> None:
    path = zipped(tmp_path / "a.npz", meta_note=bytes(npz.LARGEST_META_BYTES + 1))
    if not is_simple:
        with zipfile.ZipFile(path, "a") as archive:
            archive.comment = b"not simple"
    with pytest.raises(InputError, match=r"a.npz: not a complete .npz file \(member 'meta_note' would take 17 MB"):
        npz.read_npz(path)


def test_a_member_that_unpacks_to_more_than_it_says_is_refused(tmp_path: Path) -> None:
    data = zipped(tmp_path / "a.npz", meta_note=bytes(1_000_000)).read_bytes()
    (tmp_path / "a.npz").write_bytes(data.replace((1_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little")))
    with pytest.raises(InputError, match="not a complete .npz file"):
        npz.read_npz(tmp_path / "a.npz")


def test_a_file_larger_than_any_cutout_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.npz").open("wb") as file:
        file.truncate(npz.LARGEST_BYTES + 1)
    with pytest.raises(InputError, match="larger than the largest cutout"):
        npz.read_npz(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("key", "raw"),
    [
        ("meta_x", npy_of("<U0", (10**9, 10**9))),
        ("meta_x", npy_of("<f4", (2**40, 2**40))),
        ("meta_x", npy_of("<f4", (-5,))),
        ("meta_x", npy_of("(2,3)<f4", (1,), bytes(24))),
        ("meta_x", b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f4', 'shape': (1,".ljust(117) + b"\n"),
        ("meta_x", b"\x93NUMPY\x01\x00\x28\x23" + (b"[" * 4400 + b"]" * 4400).ljust(8999) + b"\n"),
        ("meta_galaxy_id", npy_of("<U2", (), b"\xff\xff\xff\xff\1\0\0\0")),
        ("meta_galaxy_id", npy_of("<U2", (), b"\x00\xd8\0\0\1\0\0\0")),
        ("meta_ra", npz.to_npy(np.array(np.nan))),
        ("meta_dec", npz.to_npy(np.array(np.inf))),
    ],
)
def test_a_member_that_no_array_can_be_is_a_sentence(tmp_path: Path, key: str, raw: bytes) -> None:
    with pytest.raises(InputError, match=r"a.npz: (not a complete .npz file|meta_\w+ is not (text|a number))") as error:
        npz.read_npz(zipped(tmp_path / "a.npz", **{key: raw}))
    assert len(str(error.value)) < 400


def test_cutouts_keep_the_psfsize_of_every_band_of_their_table():
    """Observables of real lenses need it, and manifests carry that of the depth band alone."""
    assert {"psfsize_g", "psfsize_r", "psfsize_z"} <= set(npz_metadata.carried(LS_DR10))
    assert {f"psfsize_{band}" for band in INFRARED.bands} <= set(npz_metadata.carried(INFRARED))
