"""One path or several, wherever Python code gives them; devices and pipes are no files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lensctl.io.paths import listed, refuse_device
from lensctl.rules.errors import InputError


@pytest.mark.parametrize("one", ["a/b.fits", Path("a/b.fits")])
def test_one_path_is_not_taken_letter_by_letter(one):
    assert listed(one) == listed([one]) == listed(iter((one,))) == ["a/b.fits"]


def test_several_keep_their_order():
    assert listed([Path("b"), "a"]) == ["b", "a"]
    assert listed(()) == []


def test_a_device_a_pipe_and_a_socket_are_refused_and_files_folders_and_nothing_are_not(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "file").touch()
    for path in ("/dev/zero", tmp_path / "pipe", tmp_path / "link"):
        with pytest.raises(InputError, match="is a device or a pipe"):
            refuse_device(path)
    for path in (tmp_path, tmp_path / "file", tmp_path / "none"):
        refuse_device(path)
