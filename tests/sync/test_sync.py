"""The verb behind `lensctl sync`: between disk and S3, verified, resumable, and safe with names."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensctl.io.storage import s3
from lensctl.io.storage.growing_folders import begin_folder
from lensctl.io.storage.incomplete import INCOMPLETE
from lensctl.io.tables.paths import files_of
from lensctl.rules import object_names
from lensctl.rules.errors import InputError, LensctlError
from lensctl.sync import FAILURES, Outcome, bucket, sync
from lensctl.sync.batches import BATCH, BATCH_BYTES, batches
from lensctl.sync.disk import Disk
from lensctl.sync.etag import WHOLE, content_of, content_of_kind, parts_for, parts_of
from lensctl.sync.object_store import Entry
from lensctl.sync.places import open_object_store
from lensctl.sync.throttle import Throttle
from tests.toys.fake_s3 import FakeS3, serve

NOTE = ".lensctl-sync.jsonl"
MIB = 1 << 20


def run(source: object, target: object, include=(), exclude=(), **options) -> Outcome:
    """Sync between two paths."""
    there = open_object_store(str(source))
    selection = object_names.Selection(include, exclude, there.pattern)
    return sync(there, open_object_store(str(target), target=True), selection=selection, **options)


def tree(root: Path) -> dict[str, bytes]:
    """Every file below a folder but the notes of sync, and its mark while it is not whole."""
    files = {str(file.relative_to(root)): file for file in sorted(root.rglob("*")) if file.is_file()}
    return {
        name: file.read_bytes() for name, file in files.items() if not name.startswith((".lensctl-sync", INCOMPLETE))
    }


def everything(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def fill(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def noise(size: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).bytes(size)


FILES = {
    "a.parquet": b"rows",
    "images/c/0/0": noise(300_000),
    "images/c/1/0": noise(MIB + 12345, 1),
    "images/zarr.json": b"{}",
    "empty": b"",
    "odd/Søren's 100% #1 + x.npz": noise(1000, 2),
    "parts/some": noise(1000, 3),
    "parts/more": noise(1001, 4),
}
LARGE = {"exactly": noise(8 * MIB, 5), "more": noise(8 * MIB + 1, 6), "three": noise(17 * MIB + 12345, 7)}


@pytest.fixture
def source(tmp_path):
    return fill(tmp_path / "source", FILES)


@pytest.fixture(scope="module")
def server():
    with serve() as served:
        yield served


@pytest.fixture
def fake(server, monkeypatch):
    """A hostile S3, empty and well-behaved at first; `s3://b/` reaches it."""
    server.reset()
    facts = {"ENDPOINT_URL": server.endpoint, "REGION": "us-east-1", "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}
    for name, value in facts.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    s3.account.cache_clear()
    yield server
    s3.account.cache_clear()


# names


@given(st.text(max_size=300))
def test_a_name_without_a_problem_stays_below_the_folder(key):
    if not object_names.problem(key):
        assert key
        assert os.path.normpath(f"/target/{key}") == f"/target/{key}"
        assert all(0 < len(part.encode()) <= 255 for part in key.split("/"))
        assert all(ord(letter) >= 32 and ord(letter) != 127 for letter in key)


@pytest.mark.parametrize(
    "key",
    ["", "/etc/passwd", "..", "../up", "a/../b", "a/./b", "a//b", "a/", "new\nline", "nul\0", "x" * 256, "\ud800"],
)
def test_each_kind_of_bad_name_has_a_problem(key):
    assert object_names.problem(key)


@pytest.mark.parametrize("key", ["a", "a/b", "...", "..a", "a..b/c.", "Søren's 100% #1 + x.npz", "x" * 255, "~", "-rf"])
def test_unusual_names_are_names(key):
    assert object_names.problem(key) == ""


@pytest.mark.parametrize(
    ("names", "clashing"),
    [
        (["a", "A"], {"a", "A"}),
        (["dir/x", "DIR/X"], {"dir/x", "DIR/X"}),
        (["a", "a/b", "c"], {"a", "a/b"}),
        (["a/b/c", "A/B"], {"a/b/c", "A/B"}),
        (["straße", "STRASSE"], {"straße", "STRASSE"}),
        (["\u00e9", "e\u0301"], {"\u00e9", "e\u0301"}),
        (["a/x", "A/y", "a-b", "a.b"], set()),
    ],
)
def test_names_that_no_disk_holds_side_by_side_are_found_in_any_order(names, clashing):
    for order in (names, names[::-1]):
        clashes = object_names.Clashes()
        found = [clashes.add(name) for name in order]
        assert any(found) == bool(clashing)
        assert {name for name in names if clashes.involves(name)} == clashing


@pytest.mark.parametrize(
    ("key", "data"),
    [
        ("a.npz", True),
        (".hidden", True),
        ("a.part", True),
        (".a.zarr.part", False),
        (".a.zarr.part/zarr.json", False),
        ("x/.a.part", False),
        (NOTE, False),
        ("below/.lensctl-sync.part/3", False),
        (".part", True),
    ],
)
def test_unfinished_outputs_and_our_own_notes_are_not_data(key, data):
    assert object_names.is_data(key) is data


def test_patterns_cross_folders_and_globs_in_paths_do_not():
    assert object_names.Selection(["*.npz"], ["*/bad/*"]).takes("a/b/c.npz")
    assert not object_names.Selection(["*.npz"], ["*/bad/*"]).takes("a/bad/c.npz")
    assert not object_names.Selection(["*.npz"]).takes("a.npy")
    assert object_names.Selection(below="*/c.npz").takes("b/c.npz")
    assert not object_names.Selection(below="*/c.npz").takes("a/b/c.npz")
    assert object_names.Selection(below="**/c.npz").takes("a/b/c.npz")


@given(st.lists(st.integers(0, 2 * MIB), max_size=60))
def test_threads_take_objects_in_order_a_few_small_ones_or_one_large_one_at_a_time(sizes):
    entries = [Entry(str(i), size, "", 0) for i, size in enumerate(sizes)]
    lists = list(batches(entries))
    assert [entry for batch in lists for entry in batch] == entries
    assert all(len(batch) <= BATCH for batch in lists)
    assert all(len(batch) == 1 or sum(e.size for e in batch) <= BATCH_BYTES for batch in lists)


# ETags


@given(st.binary(max_size=2000), st.integers(1, 300), st.lists(st.integers(0, 2000), max_size=8))
def test_an_etag_does_not_depend_on_how_the_bytes_came(data, part, cuts):
    digests = [hashlib.md5(data[i : i + part]).digest() for i in range(0, len(data), part)] or [
        hashlib.md5(b"").digest()
    ]
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    total = content_of((data[a:b] for a, b in itertools.pairwise(edges)), part)
    if data:
        assert total.etag == f"{hashlib.md5(b''.join(digests)).hexdigest()}-{len(digests)}"
        assert total.digest == f"etag:{total.etag}"


def test_what_an_etag_tells():
    total = content_of([b"abc"], WHOLE)
    assert total.agrees(hashlib.md5(b"abc").hexdigest()) is True
    assert total.agrees(hashlib.md5(b"abd").hexdigest()) is False
    assert total.agrees("0" * 32 + "-3") is None
    assert total.agrees("not-an-md5") is None
    assert content_of([b"abc"]).agrees(hashlib.md5(b"abc").hexdigest()) is None


@given(data=st.binary(min_size=1, max_size=100), parts=st.sampled_from([None, WHOLE, 8 * MIB, 5 * MIB]))
def test_a_digest_says_how_to_take_it_again(data, parts):
    digest = content_of([data], parts).digest
    again = content_of_kind(digest, len(data))
    again.update(data)
    assert again.digest == digest


def test_a_digest_is_what_other_tools_say():
    assert content_of([b"abc"]).digest == f"sha256:{hashlib.sha256(b'abc').hexdigest()}"
    assert content_of([b"abc"], WHOLE).digest == f"md5:{hashlib.md5(b'abc').hexdigest()}"


@pytest.mark.parametrize("size", [8 * MIB + 1, 100 * MIB, 79 * 1024 * MIB, 5 * 1024**2 * MIB])
def test_ten_thousand_parts_are_enough(size):
    parts = parts_for(size)
    assert parts % MIB == 0
    assert -(-size // parts) <= 10_000
    assert parts_of("0" * 32 + f"-{-(-size // parts)}", size) == parts


# disk to disk


def test_disk_to_disk_and_again_there_is_nothing_to_do(source, tmp_path):
    first = run(source, tmp_path / "target")
    assert tree(tmp_path / "target") == FILES
    assert (first.objects, first.copied, first.skipped, first.failed) == (8, 8, 0, {})
    assert first.bytes == first.copied_bytes == sum(map(len, FILES.values()))
    notes = (tmp_path / "target" / NOTE).stat()
    again = run(source, tmp_path / "target")
    assert (again.copied, again.skipped) == (0, 8)
    assert (tmp_path / "target" / NOTE).stat() == notes
    assert not (tmp_path / "target" / ".lensctl-sync.part").exists()


def test_the_ledger_says_size_and_digest_and_is_the_same_twice(source, tmp_path):
    for name in ("one", "two"):
        run(source, tmp_path / name, connections=3)
    lines = [json.loads(line) for line in (tmp_path / "one" / NOTE).read_text().splitlines()]
    assert {line["key"]: line["digest"] for line in lines} == {
        key: f"sha256:{hashlib.sha256(data).hexdigest()}" for key, data in FILES.items()
    }
    assert [line["key"] for line in lines] == sorted(FILES)
    assert (tmp_path / "one" / NOTE).read_bytes() == (tmp_path / "two" / NOTE).read_bytes()


def test_files_keep_their_times(source, tmp_path):
    os.utime(source / "a.parquet", ns=(10**18 + 123456789, 10**18 + 123456789))
    run(source, tmp_path / "target")
    assert (tmp_path / "target/a.parquet").stat().st_mtime_ns == 10**18 + 123456789


def test_only_what_is_missing_or_differs_is_copied(source, tmp_path):
    target = tmp_path / "target"
    run(source, target)
    (source / "a.parquet").write_bytes(b"ROWS")  # same size
    (target / "images/zarr.json").unlink()
    (target / "empty").write_bytes(b"no longer")
    os.utime(target / "parts/more")  # only its time: the content is compared, and found right
    outcome = run(source, target)
    assert (outcome.copied, outcome.skipped) == (3, 5)
    assert tree(target) == {**FILES, "a.parquet": b"ROWS"}
    assert (target / "parts/more").stat().st_mtime_ns == (source / "parts/more").stat().st_mtime_ns


def test_what_stands_there_already_is_compared_and_not_copied(source, tmp_path):
    shutil.copytree(source, tmp_path / "target")
    (tmp_path / "target/a.parquet").write_bytes(b"tows")
    outcome = run(source, tmp_path / "target")
    assert (outcome.copied, outcome.skipped) == (1, 7)
    assert tree(tmp_path / "target") == FILES


def spoil(file: Path) -> None:
    """Flip one bit and leave size and time as they were."""
    facts = file.stat()
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def test_verify_finds_and_mends_a_flipped_bit_that_size_and_time_do_not_show(source, tmp_path):
    target = tmp_path / "target"
    run(source, target)
    spoil(target / "images/c/0/0")
    assert run(source, target).copied == 0
    told = []
    looked = run(source, target, verify=True, dry_run=True, tell=lambda *what: told.append(what))
    assert (looked.corrupt, looked.copied, told) == (["images/c/0/0"], 1, [("mend", "images/c/0/0")])
    assert tree(target) != FILES
    mended = run(source, target, verify=True)
    assert (mended.corrupt, mended.copied, mended.skipped) == (["images/c/0/0"], 1, 7)
    assert tree(target) == FILES
    assert run(source, target, verify=True).corrupt == []


def test_verify_keeps_the_good_copy_of_a_source_that_rotted(source, tmp_path, monkeypatch):
    target = tmp_path / "target"
    run(source, target)
    read = Disk.read

    def rotten(self, entry):
        chunks = list(read(self, entry))
        if self.root == source and entry.key == "a.parquet":
            return iter([b"rowz"])
        return iter(chunks)

    monkeypatch.setattr(Disk, "read", rotten)
    outcome = run(source, target, verify=True)
    assert list(outcome.failed) == ["a.parquet"]
    assert "source changed" in outcome.failed["a.parquet"]
    assert tree(target) == FILES


def test_unfinished_outputs_and_notes_of_a_source_are_not_copied(source, tmp_path):
    fill(source, {".b.zarr.part/zarr.json": b"{", "images/.c.part": b"half", NOTE: b"{}\n", ".keep": b"me"})
    run(source, tmp_path / "target")
    assert tree(tmp_path / "target") == {**FILES, ".keep": b"me"}


def test_include_and_exclude_choose(source, tmp_path):
    run(source, tmp_path / "target", include=["images/*", "*.parquet"], exclude=["*/c/0/*"])
    assert sorted(tree(tmp_path / "target")) == ["a.parquet", "images/c/1/0", "images/zarr.json"]


def test_one_file_and_a_glob_are_sources_too(source, tmp_path):
    run(source / "images/zarr.json", tmp_path / "one")
    assert tree(tmp_path / "one") == {"zarr.json": b"{}"}
    run(f"{source}/images/c/*/0", tmp_path / "glob")
    assert sorted(tree(tmp_path / "glob")) == ["0/0", "1/0"]


def test_delete_removes_what_the_source_lacks_but_nothing_left_out(source, tmp_path):
    target = fill(tmp_path / "target", {"old/x.npz": b"1", "old/keep.csv": b"2", ".b.part/x": b"3", "gone.npz": b"4"})
    run(source, target)
    assert "gone.npz" in tree(target)
    told = []
    dry = run(source, target, delete=True, exclude=["*.csv"], dry_run=True, tell=lambda *what: told.append(what))
    assert (dry.deleted, told) == (2, [("delete", "gone.npz"), ("delete", "old/x.npz")])
    assert run(source, target, delete=True, exclude=["*.csv"]).deleted == 2
    assert tree(target) == {**FILES, "old/keep.csv": b"2", ".b.part/x": b"3"}
    run(source, target, delete=True)
    assert not (target / "old").exists()
    (source / "empty").unlink()
    run(source, target, delete=True)
    assert not (target / "empty").exists()
    assert "empty" not in (target / NOTE).read_text()


def test_nothing_is_deleted_after_a_failure(source, tmp_path):
    target = fill(tmp_path / "target", {"extra": b"1", "a.parquet/in the way": b"2"})
    outcome = run(source, target, delete=True)
    assert list(outcome.failed) == ["a.parquet"]
    assert outcome.deleted == 0
    assert (target / "extra").exists()


def test_a_failure_is_listed_and_the_rest_is_copied_and_later_the_list_goes(source, tmp_path):
    target = fill(tmp_path / "target", {"a.parquet/in the way": b"2"})
    (source / "dangling").symlink_to("nowhere")
    os.mkfifo(source / "pipe")
    outcome = run(source, target)
    assert set(outcome.failed) == {"a.parquet", "dangling", "pipe"}
    assert outcome.copied == len(FILES) - 1
    listed = [json.loads(line) for line in (target / FAILURES).read_text().splitlines()]
    assert {line["key"]: line["reason"] for line in listed} == outcome.failed
    shutil.rmtree(target / "a.parquet")
    (source / "dangling").unlink()
    (source / "pipe").unlink()
    assert run(source, target).failed == {}
    assert not (target / FAILURES).exists()
    assert tree(target) == FILES


def test_a_dry_run_writes_nothing(source, tmp_path):
    told = []
    outcome = run(source, tmp_path / "target", dry_run=True, tell=lambda *what: told.append(what))
    assert outcome.copied == 8
    assert sorted(told) == [("copy", key) for key in sorted(FILES)]
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("names", [["Lens.npz", "lens.npz"], ["x\ny"], ["tab\t"]])
def test_names_that_clash_or_hold_control_characters_stop_it_before_anything_is_written(source, tmp_path, names):
    fill(source, {f"names/{name}": b"1" for name in names})
    with pytest.raises(InputError) as caught:
        run(source, tmp_path / "target")
    assert all(repr(f"names/{name}") in str(caught.value) for name in names)
    assert not (tmp_path / "target").exists()
    (tmp_path / "target").mkdir()
    with pytest.raises(InputError):
        run(source, tmp_path / "target")
    assert everything(tmp_path / "target") == []
    run(source, tmp_path / "target", exclude=["names/*"])
    assert tree(tmp_path / "target") == FILES


def test_a_link_in_the_target_does_not_lead_out_of_it(source, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "target").mkdir()
    (tmp_path / "target/images").symlink_to(tmp_path / "elsewhere")
    outcome = run(source, tmp_path / "target")
    assert set(outcome.failed) == {"images/c/0/0", "images/c/1/0", "images/zarr.json"}
    assert everything(tmp_path / "elsewhere") == [] or all(p.is_dir() for p in (tmp_path / "elsewhere").rglob("*"))


def test_links_in_the_source_are_followed_but_not_in_circles(source, tmp_path):
    (source / "linked").symlink_to(source / "images")
    (source / "images/up").symlink_to(source)
    outcome = run(source, tmp_path / "target", exclude=["linked/up*"])
    assert (tmp_path / "target/linked/zarr.json").read_bytes() == b"{}"
    assert list(outcome.failed) == ["images/up"]


@pytest.mark.parametrize("places", [("source", "source/images"), ("source/images", "source"), ("source", "source")])
def test_places_that_lie_in_each_other_are_refused(source, tmp_path, places):
    with pytest.raises(InputError, match="lie in each other"):
        run(*(tmp_path / place for place in places))


@pytest.mark.parametrize(
    ("source_name", "options", "says"),
    [
        ("nowhere", {}, "nothing to copy"),
        ("hollow", {}, "nothing to copy"),
        ("hollow", {"delete": True}, "nothing to copy"),
        ("source", {"include": ["*.nothing"]}, "none of 8 objects"),
        ("source/a.parquet", {"delete": True}, "--delete"),
    ],
)
def test_nothing_to_copy_is_an_error_and_deletes_nothing(source, tmp_path, source_name, options, says):
    (tmp_path / "hollow").mkdir()
    target = fill(tmp_path / "target", {"x": b"1"})
    with pytest.raises(InputError, match=says):
        run(tmp_path / source_name, target, **options)
    assert everything(target) == ["x"]


def test_a_file_is_no_target(source, tmp_path):
    (tmp_path / "file").write_bytes(b"1")
    with pytest.raises(InputError, match="is a file"):
        run(source, tmp_path / "file")


def test_room_is_looked_at_before_anything_appears(source, tmp_path, monkeypatch):
    monkeypatch.setattr(Disk, "free_bytes", lambda self: MIB)
    with pytest.raises(InputError, match="bytes are free"):
        run(source, tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_room_that_others_take_meanwhile_stops_it_before_a_large_file(tmp_path, monkeypatch):
    source = fill(tmp_path / "source", {"a": b"1", "large": noise(2 * MIB), "z": b"2"})
    room = iter([10 * MIB, MIB])
    monkeypatch.setattr(Disk, "free_bytes", lambda self: next(room))
    with pytest.raises(InputError, match=r"target: 1,048,576 bytes are free, and large needs 2,097,152"):
        run(source, tmp_path / "target", connections=1)
    monkeypatch.undo()
    assert run(source, tmp_path / "target").failed == {}


def test_a_disk_that_fills_up_stops_it_and_the_rerun_goes_on(source, tmp_path, monkeypatch):
    utime, room = os.utime, [5]

    def full(*args, **kwargs):
        room[0] -= 1
        if room[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        utime(*args, **kwargs)

    monkeypatch.setattr(os, "utime", full)
    with pytest.raises(InputError, match="no space left"):
        run(source, tmp_path / "target", connections=1)
    monkeypatch.undo()
    kept = tree(tmp_path / "target")
    assert all(FILES[name] == data for name, data in kept.items())
    assert run(source, tmp_path / "target").copied == len(FILES) - len(kept)
    assert tree(tmp_path / "target") == FILES


def test_a_file_that_grows_while_it_is_read_is_copied_whole_or_not_at_all(source, tmp_path, monkeypatch):
    read, written = Disk.read, []

    def racing(self, entry):
        for chunk in read(self, entry):
            if entry.key == "a.parquet" and len(written) < 1:
                written.append(1)
                (source / "a.parquet").write_bytes(b"more rows")
            yield chunk

    monkeypatch.setattr(Disk, "read", racing)
    assert run(source, tmp_path / "target").failed == {}
    assert (tmp_path / "target/a.parquet").read_bytes() == b"more rows"


def test_a_file_rewritten_in_place_while_it_is_read_is_not_a_mixture(tmp_path, monkeypatch):
    old, new = b"a" * (3 * MIB), b"b" * (3 * MIB)
    source = fill(tmp_path / "source", {"big": old})
    read, written = Disk.read, []

    def racing(self, entry):
        for chunk in read(self, entry):
            yield chunk
            if not written:
                written.append((source / "big").write_bytes(new))

    monkeypatch.setattr(Disk, "read", racing)
    assert run(source, tmp_path / "target").failed == {}
    assert (tmp_path / "target/big").read_bytes() == new


def test_a_refusal_leaves_no_note_either(source, tmp_path):
    shutil.copytree(source, tmp_path / "target")
    fill(source, {"A": b"1", "a": b"2"})
    before = everything(tmp_path / "target")
    with pytest.raises(InputError, match="2 names"):
        run(source, tmp_path / "target")
    assert everything(tmp_path / "target") == before


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable to root")
def test_a_folder_that_cannot_be_read_is_a_failure(source, tmp_path):
    (source / "images").chmod(0)
    outcome = run(source, tmp_path / "target")
    (source / "images").chmod(0o755)
    assert outcome.failed == {"images": "Permission denied"}


def test_a_file_that_never_rests_is_a_failure(source, tmp_path, monkeypatch):
    read = Disk.read

    def racing(self, entry):
        for chunk in read(self, entry):
            if entry.key == "a.parquet":
                (source / "a.parquet").write_bytes(chunk + b"!")
            yield chunk

    monkeypatch.setattr(Disk, "read", racing)
    outcome = run(source, tmp_path / "target")
    assert list(outcome.failed) == ["a.parquet"]
    assert not (tmp_path / "target/a.parquet").exists()


def test_two_at_once_do_not_meet(source, tmp_path):
    first = Disk(str(tmp_path / "target"))
    first.begin(dry_run=False)
    with pytest.raises(InputError, match="another sync"):
        run(source, tmp_path / "target")
    assert (tmp_path / "target/.lensctl-sync.part").is_dir()
    first.end()
    run(source, tmp_path / "target")
    assert tree(tmp_path / "target") == FILES


def test_an_interrupted_run_leaves_its_journal_to_the_next(source, tmp_path):
    target = tmp_path / "target"
    run(source, target)
    lines = (target / NOTE).read_bytes().splitlines(keepends=True)
    (target / NOTE).unlink()
    stage = target / ".lensctl-sync.part"
    fill(stage, {NOTE: b"".join(lines)[:-30], "7": b"half a file"})
    outcome = run(source, target)
    assert (outcome.copied, outcome.skipped) == (0, 8)
    assert (target / NOTE).read_bytes() == b"".join(lines)
    assert not stage.exists()


def test_nothing_appears_while_names_are_still_being_listed(source, tmp_path, monkeypatch):
    entries, seen = Disk.entries, []

    def slow(self):
        for entry in entries(self):
            yield entry
            if self.root == source:
                threading.Event().wait(0.02)
                seen.append(len(tree(tmp_path / "target")))

    monkeypatch.setattr(Disk, "entries", slow)
    run(source, tmp_path / "target")
    assert seen == [0] * len(FILES)
    assert tree(tmp_path / "target") == FILES


# S3


def test_there_and_back_again(source, tmp_path, bucket):
    url = f"s3://{bucket}/mirror"
    up = run(source, url)
    assert (up.copied, up.failed) == (8, {})
    assert run(source, url).copied == 0
    across = run(f"s3a://{bucket}/mirror", f"s3://{bucket}/second/")
    assert (across.copied, across.failed) == (8, {})
    assert run(url, f"s3://{bucket}/second").skipped == 8
    down = run(f"s3://{bucket}/second", tmp_path / "back")
    assert (down.copied, down.failed) == (8, {})
    assert tree(tmp_path / "back") == FILES
    assert run(f"s3://{bucket}/second", tmp_path / "back").copied == 0
    sums = [
        {json.loads(line)["key"]: json.loads(line)["digest"] for line in place.read_note(NOTE)}
        for place in map(open_object_store, (url, f"s3://{bucket}/second", str(tmp_path / "back")))
    ]
    assert sums[0] == sums[1] == sums[2] == {key: f"md5:{hashlib.md5(data).hexdigest()}" for key, data in FILES.items()}


def test_large_objects_go_up_in_parts_and_come_back(tmp_path, bucket):
    source = fill(tmp_path / "large", LARGE)
    assert run(source, f"s3://{bucket}/up").failed == {}
    across = run(f"s3://{bucket}/up", f"s3://{bucket}/across", verify=True)
    assert (across.copied, across.failed) == (3, {})
    etags = {entry.key: entry.etag for entry in open_object_store(f"s3://{bucket}/up").entries()}
    assert {key: etag.partition("-")[2] for key, etag in etags.items()} == {"exactly": "", "more": "2", "three": "3"}
    run(f"s3://{bucket}/across", tmp_path / "back")
    assert tree(tmp_path / "back") == LARGE
    s3.client().delete_object(Bucket=bucket, Key=f"up/{NOTE}")
    assert run(source, f"s3://{bucket}/up").skipped == 3
    assert "Uploads" not in s3.client().list_multipart_uploads(Bucket=bucket)


def test_an_upload_that_breaks_off_leaves_nothing(tmp_path, bucket, monkeypatch):
    source = fill(tmp_path / "large", {"three": LARGE["three"]})
    read = Disk.read

    def breaking(self, entry):
        for i, chunk in enumerate(read(self, entry)):
            if i == 16:
                raise OSError(errno.EIO, "Input/output error")
            yield chunk

    monkeypatch.setattr(Disk, "read", breaking)
    assert run(source, f"s3://{bucket}/up").failed == {"three": "Input/output error"}
    client = s3.client()
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)
    left = [item["Key"] for item in client.list_objects_v2(Bucket=bucket)["Contents"]]
    assert left == [f"up/{FAILURES}", f"up/{INCOMPLETE}"]


def test_on_s3_too_only_what_differs_is_copied_and_deleted(source, bucket):
    url = f"s3://{bucket}/mirror"
    run(source, url)
    (source / "a.parquet").write_bytes(b"ROWS")
    (source / "empty").unlink()
    s3.client().put_object(Bucket=bucket, Key="mirror/images/zarr.json", Body=b"[]")
    outcome = run(source, url, delete=True)
    assert (outcome.copied, outcome.skipped, outcome.deleted) == (2, 5, 1)
    listed = {entry.key for entry in open_object_store(url).entries()}
    assert listed == set(FILES) - {"empty"}


@pytest.mark.parametrize("way", ["up", "down"])
def test_without_a_ledger_etags_tell_what_is_there_already(source, tmp_path, bucket, way):
    url = f"s3://{bucket}/mirror"
    run(source, url)
    if way == "up":
        s3.client().delete_object(Bucket=bucket, Key=f"mirror/{NOTE}")
        assert run(source, url).skipped == 8
    else:
        shutil.copytree(source, tmp_path / "target")
        assert run(url, tmp_path / "target").skipped == 8


def test_verify_reads_s3_again(source, bucket, monkeypatch):
    url = f"s3://{bucket}/mirror"
    run(source, url, verify=True)
    assert run(source, url, verify=True).corrupt == []
    from lensctl.sync.bucket import Bucket

    read = Bucket.read
    monkeypatch.setattr(Bucket, "read", lambda self, e: iter([b"rowz"]) if e.key == "a.parquet" else read(self, e))
    assert run(source, url, verify=True, dry_run=True).corrupt == ["a.parquet"]


def test_one_object_and_marks_of_empty_folders(tmp_path, bucket):
    client = s3.client()
    client.put_object(Bucket=bucket, Key="made/rows.parquet", Body=b"rows")
    client.put_object(Bucket=bucket, Key="made/folder/", Body=b"")
    run(f"s3://{bucket}/made/rows.parquet", tmp_path / "one")
    assert tree(tmp_path / "one") == {"rows.parquet": b"rows"}
    run(f"s3://{bucket}/made", tmp_path / "all")
    assert tree(tmp_path / "all") == {"rows.parquet": b"rows"}


def test_a_prefix_ends_at_a_slash(tmp_path, bucket):
    for key in ("made/x", "made-not/y", "made2"):
        s3.client().put_object(Bucket=bucket, Key=key, Body=b"1")
    run(f"s3://{bucket}/made", tmp_path / "target")
    assert tree(tmp_path / "target") == {"x": b"1"}


@pytest.mark.parametrize(
    ("there", "says"), [("s3://no-bucket-of-this-name/x", "no such bucket"), ("s3://{}/nothing", "nothing to copy")]
)
def test_a_source_that_is_not_there(tmp_path, bucket, there, says):
    with pytest.raises(InputError, match=says):
        run(there.format(bucket), tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_a_target_bucket_that_is_not_there(source, bucket):
    with pytest.raises(LensctlError, match="no such bucket"):
        run(source, "s3://no-bucket-of-this-name/x")


def test_places_on_s3_that_lie_in_each_other_are_refused(bucket):
    with pytest.raises(InputError, match="lie in each other"):
        run(f"s3://{bucket}/a", f"s3a://{bucket}/a/b")


# a hostile S3


@pytest.mark.parametrize(
    "bad",
    ["x/../../up", "/etc/cron.d/x", "a//b", "new\nline", "\x07bell", "./here", "x" * 256, "dir/not empty/"],
)
def test_a_key_that_would_land_elsewhere_is_named_and_nothing_is_written(fake: FakeS3, tmp_path, bad):
    fake.objects = {f"p/{i:04d}": b"1" for i in range(120)} | {f"p/{bad}": b"evil"}
    with pytest.raises(InputError, match="1 names may not be written") as caught:
        run("s3://b/p", tmp_path / "in" / "target")
    assert repr(bad) in str(caught.value)
    assert everything(tmp_path) == []
    assert run("s3://b/p", tmp_path / "in" / "target", include=["0*"]).copied == 120


def test_keys_that_differ_in_case_or_as_file_and_folder_are_named(fake: FakeS3, tmp_path):
    fake.objects = {f"p/{name}": b"1" for name in ("Lens", "lens", "a", "a/b", "fine")}
    with pytest.raises(InputError, match="4 names") as caught:
        run("s3://b/p", tmp_path / "target")
    assert all(repr(name) in str(caught.value) for name in ("Lens", "lens", "a", "a/b"))
    assert everything(tmp_path) == []


def test_many_folders_are_listed_side_by_side_and_wholly(fake: FakeS3, tmp_path):
    fake.objects = {f"p/q/{i % 7}/{i}": str(i).encode() for i in range(450)} | {"p/q/here": b"1"}
    run("s3://b/p", tmp_path / "target")
    assert tree(tmp_path / "target") == {key[2:]: data for key, data in fake.objects.items()}


@pytest.mark.parametrize("fault", ["slowdown", "reset", "short", "flip"])
def test_what_fails_in_passing_is_asked_for_again(fake: FakeS3, tmp_path, fault):
    fake.objects = {f"p/{i}": noise(50_000, i) for i in range(12)}
    fake.fault = lambda method, key, n: fault if n == 0 and (key or fault in ("slowdown", "reset")) else None
    outcome = run("s3://b/p", tmp_path / "target")
    assert outcome.failed == {}
    assert tree(tmp_path / "target") == {key[2:]: data for key, data in fake.objects.items()}


@pytest.fixture
def small_ranges(monkeypatch):
    """Objects of more than 2 MiB come in ranges of 1 MiB."""
    monkeypatch.setattr(bucket, "RANGE_BYTES", MIB)
    monkeypatch.setattr(bucket, "STREAM_BYTES", MIB // 4)


@pytest.mark.parametrize("fault", [None, "slowdown", "reset", "short", "flip"])
def test_a_large_object_comes_by_ranges_whatever_happens_on_the_way(fake: FakeS3, tmp_path, small_ranges, fault):
    fake.objects = {"p/large": noise(5 * MIB + 77)}
    fake.fault = lambda method, key, n: fault if method == "GET" and key and n in (1, 3) else None
    assert run("s3://b/p", tmp_path / "target").failed == {}
    assert tree(tmp_path / "target") == {"large": fake.objects["p/large"]}
    assert fake.asked["GET", "p/large"] >= 6, "six ranges"


def test_more_large_objects_than_may_come_by_ranges_come_too(fake: FakeS3, tmp_path, small_ranges):
    fake.objects = {f"p/{i}": noise(3 * MIB + i, i) for i in range(3 * bucket.RANGED_READS)}
    assert run("s3://b/p", tmp_path / "target").failed == {}
    assert tree(tmp_path / "target") == {key[2:]: data for key, data in fake.objects.items()}


def test_a_server_that_ignores_range_is_read_in_one_piece(fake: FakeS3, tmp_path, small_ranges):
    fake.objects = {"p/large": noise(5 * MIB + 77)}
    fake.fault = lambda method, key, n: "whole"
    assert run("s3://b/p", tmp_path / "target").failed == {}
    assert tree(tmp_path / "target") == {"large": fake.objects["p/large"]}
    assert fake.asked["GET", "p/large"] == 2


# folders that are not whole


def test_a_folder_is_marked_until_all_of_it_is_copied(source, tmp_path):
    target = tmp_path / "target"
    (source / "a.parquet").unlink()
    pq.write_table(pa.table({"x": [1]}), source / "a.parquet")
    blocked = fill(target, {"images/zarr.json/in the way": b""})
    assert list(run(source, target).failed) == ["images/zarr.json"]
    with pytest.raises(InputError, match="not whole"):
        files_of(str(target))
    shutil.rmtree(blocked / "images/zarr.json")
    assert run(source, target).failed == {}
    assert not (target / INCOMPLETE).exists()
    assert files_of(str(target)) == [str(target / "a.parquet")]


def test_on_s3_the_mark_is_there_before_and_gone_after(fake: FakeS3, source):
    fill(source, {f"z/{INCOMPLETE}": b"grows"})
    puts = []
    fake.fault = lambda method, key, n: puts.append(key) if method == "PUT" else None
    assert run(source, "s3://b/up").failed == {}
    assert puts[:2] == [f"up/{INCOMPLETE}", f"up/z/{INCOMPLETE}"]
    assert f"up/{INCOMPLETE}" not in fake.objects
    assert f"up/z/{INCOMPLETE}" in fake.objects
    assert run(source, "s3://b/up").copied == 0
    (source / "z" / INCOMPLETE).unlink()
    assert run(source, "s3://b/up").copied == 0
    assert not [key for key in fake.objects if INCOMPLETE in key]


def test_part_of_a_folder_marks_nothing(source, tmp_path):
    fill(tmp_path / "target", {"a.parquet/in the way": b""})
    assert run(source, tmp_path / "target", include=["a.parquet"]).failed
    assert run(source / "a.parquet", tmp_path / "target").failed
    assert not (tmp_path / "target" / INCOMPLETE).exists()


def test_a_dry_run_lifts_no_mark(source, tmp_path):
    fill(tmp_path / "target", {**FILES, INCOMPLETE: b"as it was"})
    fill(source, {f"images/{INCOMPLETE}": b"grows"})
    run(source, tmp_path / "target", dry_run=True)
    assert (tmp_path / "target" / INCOMPLETE).read_bytes() == b"as it was"
    run(source, tmp_path / "target")
    assert not (tmp_path / "target" / INCOMPLETE).exists()


@pytest.mark.parametrize("far", [True, False])
def test_what_still_grows_on_s3_is_copied_as_not_whole_until_it_is(bucket, tmp_path, far):
    url, target = f"s3://{bucket}/grows", f"s3://{bucket}/mirror" if far else str(tmp_path / "mirror")
    piece = fill(tmp_path / "made", {"images/c/0": noise(1000), "images/c/1": noise(1000, 1), "index.parquet": b"rows"})
    with begin_folder(f"{url}/store", {"made": "by a test"}) as place:
        place.take(piece / "images/c/0", "images/c/0")
        place.put_part("0", b"noted")
        outcome = run(url, target)
        assert (outcome.failed, outcome.growing) == ({}, ["store"])
        assert held(target) == ["store/_INCOMPLETE", "store/_parts/0", "store/images/c/0"]
        place.take(piece / "images/c/1", "images/c/1")
        place.take(piece / "index.parquet", "index.parquet")
        place.finish()
    outcome = run(url, target)
    assert (outcome.failed, outcome.growing, outcome.copied) == ({}, [], 2)
    assert held(target) == ["store/images/c/0", "store/images/c/1", "store/index.parquet"]


def held(place: str) -> list[str]:
    return sorted(entry.key for entry in open_object_store(place).entries())


@pytest.mark.parametrize("fault", ["flip", "flutter"])
def test_bytes_that_never_fit_their_etag_are_a_failure_and_leave_no_file(fake: FakeS3, tmp_path, fault):
    fake.objects = {f"p/{i}": noise(1000, i) for i in range(5)}
    fake.fault = lambda method, key, n: fault if key == "p/4" else None
    outcome = run("s3://b/p", tmp_path / "target", connections=1)
    assert list(outcome.failed) == ["4"]
    assert sorted(tree(tmp_path / "target")) == ["0", "1", "2", "3"]


def test_an_object_that_s3_says_is_encrypted_need_not_fit_its_etag(fake: FakeS3, tmp_path):
    fake.objects = {"p/0": b"plain", "p/1": b"sealed", "p/2": b"plain too"}
    fake.etag = lambda data: hashlib.md5(data.replace(b"sealed", b"?")).hexdigest()
    fake.sealed = {"p/1"}
    assert run("s3://b/p", tmp_path / "target", connections=1).failed == {}
    assert tree(tmp_path / "target")["1"] == b"sealed"


def test_a_bucket_whose_etags_are_no_digests_works_both_ways(fake: FakeS3, source, tmp_path):
    fake.etag = lambda data: hashlib.md5(b"key" + data).hexdigest()
    small = ["a.parquet", "empty", "odd/*", "*.json"]
    assert run(source, "s3://b/up", include=small).failed == {}
    down = run("s3://b/up", tmp_path / "target")
    assert (down.copied, down.failed) == (4, {})
    assert run("s3://b/up", tmp_path / "target").skipped == 4


def test_an_upload_that_arrives_changed_is_removed_and_a_failure(fake: FakeS3, source):
    class Lossy(dict):
        def __setitem__(self, key, data):
            super().__setitem__(key, data[:-1] + b"?" if key.endswith("a.parquet") else data)

    fake.objects = Lossy()
    outcome = run(source, "s3://b/up", include=["a.parquet", "*.json"])
    assert list(outcome.failed) == ["a.parquet"]
    assert "up/a.parquet" not in fake.objects
    assert fake.objects["up/images/zarr.json"] == b"{}"


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=30), st.floats(0, 0.5))
def test_a_throttle_spaces_reads_to_its_rate(sizes, pause):
    now, waited = [100.0], []

    def wait(seconds):
        waited.append(seconds)
        now[0] += max(seconds, 0)

    throttle = Throttle(1e6, wait, clock=lambda: now[0])
    for size in sizes:
        throttle.take(size)
        now[0] += pause
    spent = now[0] - 100 - pause * len(sizes)
    assert spent == pytest.approx(sum(sizes) / 1e6), "a pause between reads earns nothing for later"


def test_a_limit_holds_for_all_threads_together(tmp_path):
    (tmp_path / "from").mkdir()
    for i in range(12):
        (tmp_path / "from" / str(i)).write_bytes(bytes(50_000))
    began = time.monotonic()
    run(tmp_path / "from", tmp_path / "to", bytes_per_second=1e6)
    assert time.monotonic() - began > 0.55
