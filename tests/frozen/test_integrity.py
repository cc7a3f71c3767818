"""The files of a frozen model: one flipped bit, one file more or less, one link, is found and its file named."""

from __future__ import annotations

import os
import shutil

import pytest

from lensctl.frozen import layout
from tests.toys import frozen as frozen_toys
from tests.toys.freezing import failed, signed_bundle
from tests.toys.frozen import content, flip, random_flips

FLIPS_EACH = 5


SOAK_FLIPS_EACH = 400


EITHER = {layout.SUMS, layout.FROZEN, layout.SIGNATURE}
"""What is named beside the touched file where nothing third tells which of two is wrong."""


@pytest.fixture
def folder(bundle, tmp_path):
    """A copy of the frozen model that may be spoiled."""
    shutil.copytree(bundle / "frozen", tmp_path / "frozen")
    return tmp_path / "frozen"


@pytest.fixture
def signed(tmp_path_factory, tmp_path):
    """A copy of the signed model that may be spoiled."""
    shutil.copytree(signed_bundle(tmp_path_factory) / "frozen", tmp_path / "signed")
    return tmp_path / "signed"


def found_after_flip(folder, name, place, bit):
    """Offenders after one flipped bit; the file is put back."""
    path = folder / name
    before = path.read_bytes()
    flip(path, place, bit)
    offenders = set().union(*failed(folder).values(), set())
    path.write_bytes(before)
    return offenders


def judge_flips(folder, each):
    for seed, (name, data) in enumerate(content(folder).items()):
        for place, bit in random_flips(len(data), each, seed):
            offenders = found_after_flip(folder, name, place, bit)
            assert name in offenders, (name, place, bit)
            assert offenders <= {name, *EITHER}, (name, place, bit, offenders)


def test_one_flipped_bit_anywhere_is_found_and_its_file_named(signed):
    """Without a key, the signature's own file too."""
    assert layout.SIGNATURE in content(signed)
    judge_flips(signed, FLIPS_EACH)


def test_a_cut_or_longer_file_is_found_and_named(signed):
    for name, data in content(signed).items():
        path = signed / name
        path.chmod(0o644)
        for changed in (data[:-1], data[: len(data) // 2], b"", data + b"\0", data + b"\n", b" " + data):
            path.write_bytes(changed)
            offenders = set().union(*failed(signed).values(), set())
            assert name in offenders, (name, len(data), len(changed))
            assert offenders <= {name, *EITHER}
        path.write_bytes(data)
    assert not failed(signed)


def test_a_renamed_file_is_missing_and_extra(signed):
    for name in content(signed):
        if name != layout.SUMS:
            (signed / name).rename(signed / "other")
            found = failed(signed)
            assert name in found["no file is missing"], name
            assert "other" in found["no file is extra"], name
            (signed / "other").rename(signed / name)


def test_two_files_that_changed_places_are_both_named(folder):
    for one, other in (("metrics.json", "gates.jsonl"), ("frozen.json", "README.md")):
        data = [(folder / name).read_bytes() for name in (one, other)]
        for name, other_data in zip((one, other), data[::-1], strict=True):
            (folder / name).chmod(0o644)
            (folder / name).write_bytes(other_data)
        assert {one, other} <= set().union(*failed(folder).values())
        for name, own in zip((one, other), data, strict=True):
            (folder / name).write_bytes(own)


@pytest.mark.parametrize("other", [layout.FROZEN, layout.SIGNATURE, "model.pt2"])
def test_each_of_two_touched_files_is_named_and_no_third(signed, other):
    for name in ("README.md", other):
        (signed / name).chmod(0o644)
        (signed / name).write_bytes((signed / name).read_bytes() + b"\n")
    assert failed(signed) == {"no file was touched": {"README.md", other}}


def test_a_flip_in_an_ensembles_member_is_found_too(tmp_path_factory, tmp_path):
    shutil.copytree(frozen_toys.bundle(tmp_path_factory, members=2) / "frozen", tmp_path / "frozen")
    assert not failed(tmp_path / "frozen")
    judge_flips(tmp_path / "frozen", 1)


@pytest.mark.soak
def test_many_flipped_bits_are_found(signed):
    judge_flips(signed, SOAK_FLIPS_EACH)


def test_every_flip_in_the_sums_is_found(folder):
    size = (folder / layout.SUMS).stat().st_size
    for place in range(0, size, 3):
        assert layout.SUMS in found_after_flip(folder, layout.SUMS, place, place % 8), place


def test_a_line_end_that_became_another_line_end_is_found(folder):
    for place, byte in enumerate((folder / layout.SUMS).read_bytes()):
        if byte == ord("\n"):
            assert found_after_flip(folder, layout.SUMS, place, 0) == {layout.SUMS}  # a vertical tab


def test_a_name_that_was_touched_in_the_sums_names_the_sums_alone(folder):
    text = (folder / layout.SUMS).read_text()
    for name in ("frozen.json", "model.pt2"):
        place = text.index(name) + 2
        assert found_after_flip(folder, layout.SUMS, place, 4) == {layout.SUMS}, name


@pytest.mark.parametrize("name", ["model.safetensors", "model.pt2", "golden.npz", "README.md", "gates.jsonl"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    assert failed(folder)["no file is missing"] == {name}


@pytest.mark.parametrize("name", [layout.SUMS, layout.FROZEN])
def test_a_missing_list_of_files_is_named(folder, name):
    (folder / name).unlink()
    assert name in set().union(*failed(folder).values())


@pytest.mark.parametrize("name", ["extra.txt", ".hidden", "member-0/model.pt2", "model.safetensors.bak"])
def test_an_extra_file_is_named(folder, name):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("more")
    assert failed(folder)["no file is extra"] == {name}


def test_an_empty_folder_is_extra(folder):
    (folder / "plots").mkdir()
    assert failed(folder)["neither links nor empty folders"] == {"plots/"}


def test_a_link_is_refused_even_to_the_same_content(folder):
    outside = folder.parent / "model.pt2"
    shutil.move(folder / "model.pt2", outside)
    (folder / "model.pt2").symlink_to(outside)
    assert failed(folder)["neither links nor empty folders"] == {"model.pt2"}


def test_a_link_that_leads_out_is_named_and_never_followed(folder):
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "secret").write_text("")
    (folder / "plots").symlink_to(outside)
    assert failed(folder) == {"neither links nor empty folders": {"plots"}}


def test_what_is_no_file_is_named_and_never_opened(folder):
    os.mkfifo(folder / "pipe")  # to read it would wait for ever
    assert failed(folder) == {"neither links nor empty folders": {"pipe"}}


def test_a_line_more_in_the_sums_is_found(folder):
    text = (folder / layout.SUMS).read_text()
    (folder / layout.SUMS).chmod(0o644)
    (folder / layout.SUMS).write_text(text + f"{'0' * 64}  zzz\n")
    assert failed(folder) == {"no file was touched": {layout.SUMS}}


def test_a_flip_in_the_sums_line_of_the_signature_is_found(signed):
    text = (signed / layout.SUMS).read_text()
    line = text.index(layout.SIGNATURE)
    for place in range(line - 66, line + len(layout.SIGNATURE)):
        assert layout.SUMS in found_after_flip(signed, layout.SUMS, place, place % 8), place


def test_a_signature_that_was_taken_away_is_missed(signed):
    (signed / layout.SIGNATURE).unlink()
    assert failed(signed) == {"no file is missing": {layout.SIGNATURE}}
