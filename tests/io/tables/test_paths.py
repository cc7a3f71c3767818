"""Which files a path stands for: a folder that is incomplete stands for none."""

from __future__ import annotations

import pytest

from lensctl.io.storage.incomplete import INCOMPLETE
from lensctl.io.tables.files import read_table, write_table
from lensctl.rules.errors import InputError
from tests.toys import catalogs as toys


def test_a_folder_on_disk_that_is_not_whole_is_refused(tmp_path):
    write_table(toys.pool(20), str(tmp_path / "part.parquet"))
    (tmp_path / INCOMPLETE).touch()
    with pytest.raises(InputError, match="is incomplete"):
        read_table(str(tmp_path))
