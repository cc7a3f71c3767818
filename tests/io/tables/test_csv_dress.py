"""One CSV in every dress is one table."""

from __future__ import annotations

import gzip

import pytest

from lensctl.io.tables.csv_dress import undressed
from lensctl.io.tables.files import read_table
from lensctl.rules.errors import InputError

PLAIN = "name,ra,dec\nDESI-é,150.5,2.25\nDESI-2,151.5,-2.25\n"
ROWS = [{"name": "DESI-é", "ra": 150.5, "dec": 2.25}, {"name": "DESI-2", "ra": 151.5, "dec": -2.25}]
DRESSES = {
    "plain.csv": PLAIN.encode(),
    "bom.csv": PLAIN.encode("utf-8-sig"),
    "packed.csv.gz": gzip.compress(PLAIN.encode()),
    "utf16.csv": PLAIN.encode("utf-16"),
    "big.csv": b"\xfe\xff" + PLAIN.encode("utf-16-be"),
    "comments.csv": b"# two lines\n# of comment\n" + PLAIN.encode(),
    "semicolon.csv": PLAIN.replace(",", ";").encode(),
    "tabs.csv": PLAIN.replace(",", "\t").encode(),
    "tabs.tsv": PLAIN.replace(",", "\t").encode(),
    "all.csv.gz": gzip.compress(("# comment\r\n" + PLAIN.replace(",", ";")).encode("utf-16")),
}


@pytest.mark.parametrize("name", DRESSES)
def test_a_csv_in_any_dress_is_the_same_table(tmp_path, name):
    (tmp_path / name).write_bytes(DRESSES[name])
    assert read_table(str(tmp_path / name)).to_pylist() == ROWS


def test_a_comma_in_the_header_is_what_divides():
    assert undressed(b"a,b;c\n1,2\n", ",") == (b"a,b;c\n1,2\n", ",")
    assert undressed(b"a\n1\n", ",")[1] == ","


def test_what_would_swell_or_is_cut_short_is_refused(tmp_path):
    packed = gzip.compress(PLAIN.encode() * 99)
    damaged = {
        "large.csv.gz": (packed[:-4] + b"\xff" * 4, "it would take 4.3 GB"),
        "cut.csv.gz": (packed[:30] + packed[-8:], "compressed data"),
    }
    for name, (data, why) in damaged.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=rf"{name}: cannot be read as a table \(.*{why}"):
            read_table(str(tmp_path / name))
