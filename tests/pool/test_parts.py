"""The parts of a pool: an id that stands twice is counted, and a part that was spoilt is made again."""

from __future__ import annotations

import json
import os

import pyarrow as pa
import pytest

from lensctl.io.tables.criteria import criteria_of
from lensctl.pool.parts import repeated_between, select_all
from tests.toys import catalogs as toys
from tests.toys.damage import spoil_packed_column
from tests.toys.negatives import NONE, kept


def test_ids_that_stand_twice_are_counted_within_a_file_and_between_files(tmp_path):
    raw = toys.rows(200)
    files = [str(toys.write_fits(t, tmp_path / n)) for t, n in ((raw, "a.fits"), (raw.slice(0, 50), "b.fits"))]
    twice = str(toys.write_fits(pa.concat_tables([raw, raw.slice(0, 50)]), tmp_path / "c.fits"))
    parts = list(select_all([*files, twice], tmp_path, criteria_of(), NONE, count=1))
    again = kept(files[1])[1].kept
    assert [part.funnel.repeated for part in parts] == [0, 0, again]
    assert repeated_between(parts[:2]) == again
    assert repeated_between(parts[:1]) == 0


def test_a_part_that_a_crash_has_spoilt_is_made_again(tmp_path):
    file = str(toys.write_fits(toys.rows(200), tmp_path / "a.fits"))

    def part():
        (found,) = select_all([file], tmp_path, criteria_of(), NONE, count=1)
        return found, found.path.read_bytes()

    first, rows = part()
    (tmp_path / "a.fits.arrow").write_bytes(b"\0" * len(rows))  # as a machine that lost its power may leave it
    assert part() == (first, rows)
    written = os.stat(first.path).st_mtime_ns
    assert part() == (first, rows)
    assert os.stat(first.path).st_mtime_ns == written


@pytest.mark.parametrize("change", [
    {"crc32": None}, {"funnel": 3}, {"funnel": {"counts": []}}, {"bricks": 5}, {"digest": None, "bricks": None},
])  # fmt: skip
def test_a_part_whose_note_is_of_another_shape_is_made_again(tmp_path, change):
    file = str(toys.write_fits(toys.rows(60), tmp_path / "a.fits"))
    (first,) = select_all([file], tmp_path, criteria_of(), NONE, count=1)
    note = tmp_path / "a.fits.json"
    note.write_text(json.dumps({**json.loads(note.read_text()), **change}))
    assert list(select_all([file], tmp_path, criteria_of(), NONE, count=1)) == [first]


def test_a_damaged_packed_sweep_is_a_bad_file_of_its_own(tmp_path):
    good = str(toys.write_fits(toys.rows(60), tmp_path / "a.fits"))
    bad = toys.write_packed_fits(toys.rows(60, 1), tmp_path / "b.fits.fz")
    spoil_packed_column(bad, "OBJID")
    parts = {part.file: part for part in select_all([good, str(bad)], tmp_path, criteria_of(), NONE, count=1)}
    assert parts[good].funnel.kept
    assert not parts[good].funnel.bad
    assert str(bad) in parts[str(bad)].funnel.bad
