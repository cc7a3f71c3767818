"""A folder of .npz into a store and back: every array the same in dtype, shape and bytes; bad folders leave nothing."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lensctl.export import export
from lensctl.io import workers
from lensctl.io.cutouts import npz
from lensctl.io.cutouts.store import Store, open_store
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import to_json
from lensctl.pack import pack
from lensctl.rules import quality
from lensctl.rules.errors import InputError, LensctlError
from tests.toys.pixels import CHAIN, images, make_store

MIXED: list[dict[str, npz.Array]] = [
    {"meta_nobs_z": np.array(8), "meta_note": np.array("a"), "meta_has_g": np.array(True)},
    {"meta_nobs_z": np.array(8.0), "meta_flux": np.array(1.5, np.float32), "meta_psf": np.ones((3, 3), ">f8")},
    {"meta_note": np.array("längst", "<U32"), "meta_raw": np.array(b"\x00\x01x"), "meta_odd": np.array(7, ">i2")},
    {"meta_when": np.array("2026-02-08", "M8[s]"), "meta_flux": np.array(np.nan, np.float32)},
    {},
]


def write_folder(folder: Path, extra: list[dict[str, npz.Array]], size: int = 9) -> Path:
    folder.mkdir(exist_ok=True)
    for i, (image, more) in enumerate(zip(images(len(extra), size), extra, strict=True)):
        meta = {
            "meta_galaxy_id": np.array(f"0001m0{i:02d}_{i}"),
            "meta_ra": np.array(0.1 * i),
            "meta_dec": np.array(-4.0),
        }
        np.savez(folder / f"0001m0{i:02d}_{i}.npz", cutout=image, **meta, **more)
    return folder


def assert_same_files(before: Path, after: Path) -> None:
    """Every member of every file is there again, in dtype, shape and bytes, and only our provenance is new."""
    names = sorted(path.name for path in before.glob("*.npz"))
    assert sorted(path.name for path in after.iterdir()) == names
    for name in names:
        with np.load(before / name, allow_pickle=False) as old, np.load(after / name, allow_pickle=False) as new:
            assert set(new.files) - set(old.files) <= {"meta_lensctl_provenance"}
            for key in old.files:
                if key != "meta_lensctl_provenance":
                    assert (new[key].dtype, new[key].shape) == (old[key].dtype, old[key].shape), (name, key)
                    assert new[key].tobytes() == old[key].tobytes(), (name, key)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("shard_rows", [1, 2, 100])
def test_files_that_differ_in_keys_and_dtypes_come_back_bit_identical(
    tmp_path: Path, shard_rows: int, compress: bool
) -> None:
    folder = write_folder(tmp_path / "in", MIXED)
    packed = pack(folder, str(tmp_path / "a.zarr"), shard_rows=shard_rows, processes=1)
    assert packed.statuses == {"ok": 5}
    assert export(packed.store, tmp_path / "out", compress=compress, processes=1) == 5
    assert_same_files(folder, tmp_path / "out")
    again = pack(tmp_path / "out", str(tmp_path / "b.zarr"), processes=1).store
    export(again, tmp_path / "out2", processes=1)
    assert_same_files(folder, tmp_path / "out2")
    assert again.digest == packed.store.digest


SCALARS = st.one_of(
    st.integers(-(2**63), 2**63 - 1).map(np.array),
    st.floats(width=32).map(np.float32).map(np.array),
    st.floats().map(np.array),
    st.booleans().map(np.array),
    st.text(max_size=5).map(np.array),
)


@given(st.lists(st.dictionaries(st.sampled_from(["meta_a", "meta_b"]), SCALARS), min_size=1, max_size=6))
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_scalars_come_back(tmp_path_factory: pytest.TempPathFactory, extra: list[dict[str, npz.Array]]) -> None:
    root = tmp_path_factory.mktemp("any")
    folder = write_folder(root / "in", extra, size=2)
    export(pack(folder, str(root / "a.zarr"), shard_rows=2, processes=1).store, root / "out", processes=1)
    assert_same_files(folder, root / "out")
    shutil.rmtree(root)


def test_the_index_says_what_the_files_said(tmp_path: Path) -> None:
    url = (
        "https://www.legacysurvey.org/viewer/fits-cutout?ra=0.1&dec=-4&size=101&layer=ls-dr10&pixscale=0.262&bands=grz"
    )
    told = {"meta_cutout_url": np.array(url), "meta_timestamp": np.array("2026-02-08T22:13:40")}
    folder = write_folder(tmp_path / "in", [told, {}, {"meta_layer": np.array("x"), "meta_pixel_scale": np.array(0.5)}])
    index = pack(folder, str(tmp_path / "a.zarr"), processes=1).store.index
    assert index["galaxy_id"].to_pylist() == ["0001m000_0", "0001m001_1", "0001m002_2"]
    assert index["source"].to_pylist() == ["viewer", "npz", "npz"]
    assert index["layer"].to_pylist() == ["ls-dr10", None, "x"]
    assert index["pixel_scale_arcsec"].to_pylist() == [0.262, None, 0.5]
    assert index["url_or_brick"].to_pylist() == [url, None, None]
    assert index["downloaded_at"].to_pylist() == ["2026-02-08T22:13:40", None, None]
    assert index["cutout_sha256"].to_pylist() == quality.fingerprints(images(3))


def failed_store(path: Path) -> Store:
    """A store whose second cutout failed and whose third lacks a band."""
    pixels = images(6)
    pixels[1] = np.nan
    pixels[2, ..., 1] = 0.0
    return make_store(path, pixels)


def test_a_store_that_was_not_packed_gives_files_the_plan_can_read_and_comes_back(tmp_path: Path) -> None:
    store = failed_store(tmp_path / "a.zarr")
    assert export(store, tmp_path / "out", processes=1) == 6
    with np.load(tmp_path / "out/1500p020_3.npz", allow_pickle=False) as found:
        keys = ["cutout", "meta_galaxy_id", "meta_ra", "meta_dec", "meta_cutout_url", "meta_download_timestamp"]
        assert [key for key in found.files if key in keys] == keys
        assert found["meta_galaxy_id"].item() == "1500p020_3"
        assert found["meta_cutout_ok"].dtype == bool
        assert found["cutout"].tobytes() == store.read([3]).tobytes()
    back = pack(tmp_path / "out", str(tmp_path / "b.zarr"), processes=1).store
    assert back.read(np.arange(6)).tobytes() == store.read(np.arange(6)).tobytes()
    for name in ("galaxy_id", "ra", "dec", "status", "cutout_ok", "source", "layer", "cutout_sha256", "mean_g"):
        assert back.index[name].to_pylist() == store.index[name].to_pylist(), name


def test_only_usable_cutouts_on_request(tmp_path: Path) -> None:
    assert export(failed_store(tmp_path / "a.zarr"), tmp_path / "out", ok_only=True, processes=1) == 4
    assert not (tmp_path / "out/1500p020_1.npz").exists()


def test_the_chain_goes_through_files(tmp_path: Path) -> None:
    store = make_store(tmp_path / "a.zarr", images(3))
    export(store, tmp_path / "out", processes=1)
    chain = pack(tmp_path / "out", str(tmp_path / "b.zarr"), processes=1).store.chain
    assert [step.command for step in chain] == ["cutout", "export", "pack"]
    assert chain[0] == CHAIN[0]
    assert chain[1].input("store").digest == store.digest
    assert chain[2].input("folder").step == chain[1].id


def test_altered_provenance_in_a_file_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", [{}])
    found = npz.read_npz(folder / "0001m000_0.npz")
    steps = json.loads(to_json(CHAIN))
    steps[0]["parameters"]["made"] = "down"
    text = np.array(json.dumps(steps).encode())
    npz.write_npz(folder / "0001m000_0.npz", found.cutout, {**found.meta, npz.PROVENANCE: text})
    with pytest.raises(InputError, match="altered"):
        pack(folder, str(tmp_path / "a.zarr"), processes=1)


def test_the_same_commands_give_the_same_bytes_whatever_the_workers(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", MIXED * 4)
    for name, processes in (("a", 1), ("b", 2)):
        (tmp_path / name).mkdir()
        store = pack(folder, str(tmp_path / f"{name}/x.zarr"), shard_rows=7, processes=processes).store
        export(store, tmp_path / f"{name}/out", processes=processes)
    assert digests.of_folder(tmp_path / "a") == digests.of_folder(tmp_path / "b")


def spoil_second(folder: Path, **arrays: npz.Array) -> None:
    found = npz.read_npz(folder / "0001m001_1.npz")
    np.savez(folder / "0001m001_1.npz", **({"cutout": found.cutout, **found.meta} | arrays))


BAD = {
    "cut short": (
        lambda f: (f / "0001m001_1.npz").write_bytes((f / "0001m001_1.npz").read_bytes()[:900]),
        "not a whole",
    ),
    "another size": (lambda f: spoil_second(f, cutout=images(1, 7)[0]), r"shape \(7, 7, 3\), the first"),
    "an id twice": (lambda f: spoil_second(f, meta_galaxy_id=np.array("0001m002_2")), "0001m002_2"),
    "an id that is a path": (lambda f: spoil_second(f, meta_galaxy_id=np.array("../../x")), "has a /"),
    "pickled": (lambda f: spoil_second(f, meta_x=np.array(None)), "pickled"),
    "no files": (lambda f: [path.unlink() for path in f.iterdir()], "holds no .npz"),
    "no folder": (lambda f: shutil.rmtree(f), "no such store or folder"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_folder_is_refused_and_nothing_is_left(tmp_path: Path, case: str) -> None:
    spoil, message = BAD[case]
    folder = write_folder(tmp_path / "in", MIXED)
    spoil(folder)
    with pytest.raises(InputError, match=message):
        pack(folder, str(tmp_path / "a.zarr"), shard_rows=2, processes=1)
    assert {path.name for path in tmp_path.iterdir()} <= {"in"}


def test_existing_outputs_are_refused_and_replaced_on_request(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", MIXED)
    store = pack(folder, str(tmp_path / "a.zarr"), processes=1).store
    export(store, tmp_path / "out", processes=1)
    with pytest.raises(InputError, match="exists"):
        pack(folder, str(tmp_path / "a.zarr"), processes=1)
    with pytest.raises(InputError, match="exists"):
        export(store, tmp_path / "out", processes=1)
    (tmp_path / "out/stray.npz").write_text("x")
    pack(folder, str(tmp_path / "a.zarr"), processes=1, overwrite=True)
    export(open_store(tmp_path / "a.zarr"), tmp_path / "out", processes=1, overwrite=True)
    assert_same_files(folder, tmp_path / "out")


class Killed(BaseException):
    """A stand-in for kill -9: nothing is tidied that a finally does not tidy."""


def kill_after(shards: int):
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += 1
        if done == shards:
            raise Killed

    return advance


def test_a_killed_pack_and_a_killed_export_go_on(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", MIXED * 4)
    whole = pack(folder, str(tmp_path / "w.zarr"), shard_rows=4, processes=1).store
    with pytest.raises(Killed):
        pack(folder, str(tmp_path / "a.zarr"), shard_rows=4, processes=1, advance=kill_after(3))
    assert not (tmp_path / "a.zarr").exists()
    counts: list[int] = []
    again = pack(folder, str(tmp_path / "a.zarr"), shard_rows=4, processes=1, advance=counts.append).store
    assert sum(counts) < 20
    assert digests.of_folder(again.path) == digests.of_folder(whole.path)
    with pytest.raises(Killed):
        export(again, tmp_path / "out", processes=1, advance=kill_after(2))
    assert not (tmp_path / "out").exists()
    part = tmp_path / ".out.part/whole"
    (part / "0001m000_0.npz").write_bytes((part / "0001m000_0.npz").read_bytes()[:500])
    export(again, tmp_path / "out", processes=1)
    assert_same_files(folder, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"in", "a.zarr", "w.zarr", "out"}


def _half(number: int) -> int:
    if number == 3:
        raise InputError("three", "not three")
    if number == 4:
        os._exit(9)
    return number // 2


def test_what_a_worker_raises_comes_through_with_its_advice() -> None:
    with pytest.raises(InputError, match="three") as caught:
        list(workers.each(_half, [1, 2, 3], 2))
    assert caught.value.fix == "not three"


def test_a_worker_that_dies_is_told() -> None:
    with pytest.raises(LensctlError, match="a worker process died"):
        list(workers.each(_half, [1, 4, 2], 2))


@pytest.mark.parametrize("processes", [1, 2])
def test_workers_do_every_task_once(processes: int) -> None:
    assert sorted(workers.each(_half, iter([0, 2, 6, 8, 10, 12]), processes)) == [0, 1, 3, 4, 5, 6]
