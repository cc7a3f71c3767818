"""Names of objects: which may be written, which clash, which are data, which are chosen."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensctl.rules import object_names
from lensctl.rules.errors import InputError
from tests.toys.sync import NOTE


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


def test_a_name_that_is_not_utf8_is_refused_with_its_bytes():
    with pytest.raises(InputError, match=r"^'caf\\xe9/a.csv' is not UTF-8"):
        object_names.refuse_undecoded(os.fsdecode(b"caf\xe9/a.csv"))
    with pytest.raises(InputError, match=r"^'\\ud800' is not UTF-8"):
        object_names.refuse_undecoded("\ud800")
    object_names.refuse_undecoded("café/a.csv")


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
    assert object_names.NameSelection(["*.npz"], ["*/bad/*"]).takes("a/b/c.npz")
    assert not object_names.NameSelection(["*.npz"], ["*/bad/*"]).takes("a/bad/c.npz")
    assert not object_names.NameSelection(["*.npz"]).takes("a.npy")
    assert object_names.NameSelection(below="*/c.npz").takes("b/c.npz")
    assert not object_names.NameSelection(below="*/c.npz").takes("a/b/c.npz")
    assert object_names.NameSelection(below="**/c.npz").takes("a/b/c.npz")
