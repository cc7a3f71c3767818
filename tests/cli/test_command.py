"""Settings of a file as options."""

from __future__ import annotations

import json

from lensctl.io.tables.files import write_table
from tests.toys import catalogs as toys


def test_one_value_of_a_repeatable_option_is_that_one(lensctl, tmp_path):
    """A path is not the list of its letters."""
    write_table(toys.pool(2000), str(tmp_path / "pool.parquet"))
    write_table(toys.positives(5), str(tmp_path / "positives.parquet"))
    command = "sample pool.parquet out.parquet --positives positives.parquet --dry-run --config c.yaml"
    said = []
    for lenses in ("positives.parquet", "[positives.parquet]"):
        (tmp_path / "c.yaml").write_text(f"negatives_per_positive: 1\nlenses: {lenses}\n")
        done = lensctl(*command.split())
        assert done.returncode == 0, done.stderr
        said.append({**json.loads(done.stdout), "seconds": 0})
    assert said[0] == said[1]
