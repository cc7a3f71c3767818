"""A file of any kind that was cut short is named, not guessed at."""

from __future__ import annotations

from pathlib import Path

import fitsio
import numpy as np
import pytest

from lensctl.io.tables.files import write_table
from lensctl.rules.errors import InputError
from lensctl.show.identify import identify
from tests.show.toys import an_npz
from tests.toys import catalogs as toys
from tests.toys import pixels


def broken(tmp_path: Path) -> dict[str, Path]:
    """Files cut short, each by its kind."""
    write_table(toys.pool(100), str(tmp_path / "cut.parquet"))
    write_table(toys.pool(100), str(tmp_path / "cut.arrow"))
    an_npz(tmp_path / "cut.npz", pixels.images(1)[0])
    fitsio.write(tmp_path / "cut.fits", np.zeros((100, 100)))
    (tmp_path / "cut.json").write_text('{"a": [1, 2, 3')
    from safetensors.numpy import save_file

    save_file({"w": np.zeros(100)}, tmp_path / "cut.safetensors")
    files = {path.suffix: path for path in tmp_path.iterdir()}
    for path in files.values():
        data = path.read_bytes()
        path.write_bytes(data[: len(data) * 2 // 3])
    return files


@pytest.mark.parametrize("ending", [".parquet", ".arrow", ".npz", ".fits", ".json", ".safetensors"])
def test_a_file_cut_short_is_an_error_that_names_it(tmp_path, ending):
    with pytest.raises(InputError, match=r"cut\.") as caught:
        identify(str(broken(tmp_path)[ending]))
    assert caught.value.fix
