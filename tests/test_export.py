"""A packed store into .npz and back: every array the same in dtype, shape and bytes, killed or not."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lensctl.export import export
from lensctl.io.cutouts import npz
from lensctl.io.cutouts.store import Store
from lensctl.pack import pack
from lensctl.rules.errors import InputError
from tests.toys import damage
from tests.toys.folders import folder_digest
from tests.toys.npz_folders import MIXED, opened, write_folder
from tests.toys.pixels import CHAIN, images, make_store
from tests.toys.reporters import Advancing, Saying


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
    packed = pack(folder, str(tmp_path / "a.zarr"), shard_rows=shard_rows, workers=1)
    assert packed["status"] == {"ok": 5}
    assert export(packed["output"], tmp_path / "out", compress=compress, workers=1)["files"] == 5
    assert_same_files(folder, tmp_path / "out")
    again = opened(pack(tmp_path / "out", str(tmp_path / "b.zarr"), workers=1))
    export(again.path, tmp_path / "out2", workers=1)
    assert_same_files(folder, tmp_path / "out2")
    assert again.digest == opened(packed).digest


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
    export(pack(folder, root / "a.zarr", shard_rows=2, workers=1)["output"], root / "out", workers=1)
    assert_same_files(folder, root / "out")
    shutil.rmtree(root)


def failed_store(path: Path) -> Store:
    """A store whose second cutout failed and whose third lacks a band."""
    pixels = images(6)
    pixels[1] = np.nan
    pixels[2, ..., 1] = 0.0
    return make_store(path, pixels)


def test_a_store_that_was_not_packed_gives_files_the_plan_can_read_and_comes_back(tmp_path: Path) -> None:
    store = failed_store(tmp_path / "a.zarr")
    assert export(store.path, tmp_path / "out", workers=1)["files"] == 6
    with np.load(tmp_path / "out/1500p020_3.npz", allow_pickle=False) as found:
        keys = ["cutout", "meta_galaxy_id", "meta_ra", "meta_dec", "meta_cutout_url", "meta_download_timestamp"]
        assert [key for key in found.files if key in keys] == keys
        assert found["meta_galaxy_id"].item() == "1500p020_3"
        assert found["meta_cutout_ok"].dtype == bool
        assert found["cutout"].tobytes() == store.read([3]).tobytes()
    back = opened(pack(tmp_path / "out", str(tmp_path / "b.zarr"), workers=1))
    assert back.read(np.arange(6)).tobytes() == store.read(np.arange(6)).tobytes()
    for name in ("galaxy_id", "ra", "dec", "status", "cutout_ok", "source", "layer", "cutout_sha256", "mean_g"):
        assert back.index[name].to_pylist() == store.index[name].to_pylist(), name


def test_only_usable_cutouts_on_request(tmp_path: Path) -> None:
    assert export(failed_store(tmp_path / "a.zarr").path, tmp_path / "out", ok_only=True, workers=1)["files"] == 4
    assert not (tmp_path / "out/1500p020_1.npz").exists()


def test_the_chain_goes_through_files(tmp_path: Path) -> None:
    store = make_store(tmp_path / "a.zarr", images(3))
    export(store.path, tmp_path / "out", workers=1)
    chain = opened(pack(tmp_path / "out", str(tmp_path / "b.zarr"), workers=1)).chain
    assert [step.command for step in chain] == ["cutout", "export", "pack"]
    assert chain[0] == CHAIN[0]
    assert chain[1].input("store").digest == store.digest
    assert chain[2].input("folder").step == chain[1].id


def test_the_same_commands_give_the_same_bytes_whatever_the_workers(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", MIXED * 4)
    for name, processes in (("a", 1), ("b", 2)):
        (tmp_path / name).mkdir()
        store = opened(pack(folder, str(tmp_path / f"{name}/x.zarr"), shard_rows=7, workers=processes))
        export(store.path, tmp_path / f"{name}/out", workers=processes)
    assert folder_digest(tmp_path / "a") == folder_digest(tmp_path / "b")


def test_existing_outputs_are_refused_and_replaced_on_request(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", MIXED)
    store = opened(pack(folder, str(tmp_path / "a.zarr"), workers=1))
    export(store.path, tmp_path / "out", workers=1)
    with pytest.raises(InputError, match="exists"):
        pack(folder, str(tmp_path / "a.zarr"), workers=1)
    with pytest.raises(InputError, match="exists"):
        export(store.path, tmp_path / "out", workers=1)
    (tmp_path / "out/stray.npz").write_text("x")
    pack(folder, str(tmp_path / "a.zarr"), workers=1, overwrite=True)
    export(tmp_path / "a.zarr", tmp_path / "out", workers=1, overwrite=True)
    assert_same_files(folder, tmp_path / "out")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_shard_that_goes_while_export_reads_is_an_error_and_the_folder_stays_unfinished(
    tmp_path: Path, workers: int
) -> None:
    store = make_store(tmp_path / "a.zarr", images(40), shard_rows=2)
    whole = shutil.copytree(store.path, tmp_path / "whole.zarr")

    def lose_the_last(count: int) -> None:
        if Path(store.path, "images/c/19/0/0/0").exists():
            damage.lose_shard(tmp_path / "a.zarr", 19)

    with pytest.raises(InputError, match=r"images/c/19/0/0/0 is missing, or pixels in it"):
        export(store.path, tmp_path / "out", workers=workers, report=Advancing(lose_the_last))
    assert not (tmp_path / "out").exists()
    assert not [file for file in (tmp_path / ".out.part").rglob("*.npz") if np.isnan(np.load(file)["cutout"]).any()]
    shutil.copytree(whole, store.path, dirs_exist_ok=True)
    assert export(store.path, tmp_path / "out", workers=workers)["files"] == 40


def test_changed_pixels_are_not_exported_but_on_request(tmp_path: Path) -> None:
    failed_store(tmp_path / "a.zarr")
    damage.flip_bit(tmp_path / "a.zarr", 5)
    with pytest.raises(InputError, match=r"a\.zarr: the pixels of 1500p020_5 \(row 5\) are not those recorded for it"):
        export(tmp_path / "a.zarr", tmp_path / "out", workers=1)
    assert not (tmp_path / "out").exists()
    assert export(tmp_path / "a.zarr", tmp_path / "out", check_pixels=False, workers=1)["files"] == 6


def test_cutouts_that_cannot_be_compared_are_said_once(tmp_path: Path) -> None:
    failed_store(tmp_path / "a.zarr")
    damage.forget(tmp_path / "a.zarr", [0, 1])
    told = Saying()
    export(tmp_path / "a.zarr", tmp_path / "out", workers=1, report=told)
    assert told.said == ["2 of 6 cutouts have no cutout_sha256: they cannot be compared"]


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
    whole = opened(pack(folder, str(tmp_path / "w.zarr"), shard_rows=4, workers=1))
    with pytest.raises(Killed):
        pack(folder, str(tmp_path / "a.zarr"), shard_rows=4, workers=1, report=Advancing(kill_after(3)))
    assert not (tmp_path / "a.zarr").exists()
    counts: list[int] = []
    again = opened(pack(folder, str(tmp_path / "a.zarr"), shard_rows=4, workers=1, report=Advancing(counts.append)))
    assert sum(counts) < 20
    assert folder_digest(again.path) == folder_digest(whole.path)
    with pytest.raises(Killed):
        export(again.path, tmp_path / "out", workers=1, report=Advancing(kill_after(2)))
    assert not (tmp_path / "out").exists()
    part = tmp_path / ".out.part/whole"
    (part / "0001m000_0.npz").write_bytes((part / "0001m000_0.npz").read_bytes()[:500])
    export(again.path, tmp_path / "out", workers=1)
    assert_same_files(folder, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"in", "a.zarr", "w.zarr", "out"}
