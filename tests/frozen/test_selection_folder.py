from __future__ import annotations

import json

import pyarrow as pa
import pytest

from lensctl.frozen.selection_folder import changed, read_selection
from lensctl.io.provenance import digests
from lensctl.io.tables.files import write_table
from lensctl.rules.errors import InputError


def write(folder, **facts):
    table = pa.table({"x": [1, 2]})
    (folder / "tables").mkdir(exist_ok=True)
    write_table(table, str(folder / "tables" / "one.parquet"), overwrite=True)
    whole = {
        "exploratory": False,
        "thresholds": [{"name": "p=0.5", "logit": 0.25}],
        "tables": {"one": {"rows": 2, "digest": digests.of_table(table)}},
        "files": {},
    }
    (folder / "selection.json").write_text(json.dumps({**whole, **facts}))
    return read_selection(folder)


def test_a_table_is_read_if_it_is_the_one_named(tmp_path):
    found = write(tmp_path)
    assert found.table("one").num_rows == 2
    assert (found.exploratory, found.thresholds) == (False, {"p=0.5": 0.25})
    assert found.digest == digests.of_file(tmp_path / "selection.json")
    assert changed(found) == []


def test_a_table_that_is_none_or_another_is_a_sentence(tmp_path):
    found = write(tmp_path)
    with pytest.raises(InputError, match="selection.json: names no table 'two'"):
        found.table("two")
    write_table(pa.table({"x": [1, 3]}), str(tmp_path / "tables" / "one.parquet"), overwrite=True)
    with pytest.raises(InputError, match=r"tables/one.parquet: was changed since the fit"):
        found.table("one")
    (tmp_path / "tables" / "one.parquet").write_bytes(b"none")
    with pytest.raises(InputError, match=r"^here/tables/one.parquet: cannot be read as a table"):
        read_selection(tmp_path, "here").table("one")
    (tmp_path / "tables" / "one.parquet").rename(tmp_path / "tables" / "more.parquet")
    with pytest.raises(InputError, match=r"tables/one.parquet: no such file"):
        found.table("one")
    assert changed(found) == ["tables/more.parquet", "tables/one.parquet"]


@pytest.mark.parametrize("text", ["", "[]", "{", "{}", "3", "[" * 100_000])
def test_facts_that_are_no_facts_are_a_sentence(tmp_path, text):
    (tmp_path / "selection.json").write_text(text)
    with pytest.raises(InputError, match="selection.json: is no selection function"):
        read_selection(tmp_path)


@pytest.mark.parametrize(
    ("facts", "part"),
    [
        ({"exploratory": "no"}, "exploratory"),
        ({"thresholds": 3}, "thresholds"),
        ({"thresholds": [{"name": "a"}]}, "thresholds"),
        ({"thresholds": [{"name": "a", "logit": "high"}]}, "thresholds"),
        ({"tables": []}, "tables"),
        ({"tables": {"one": 3}}, "tables"),
    ],
)
def test_facts_of_another_shape_are_a_sentence_where_they_are_asked_for(tmp_path, facts, part):
    found = write(tmp_path, **facts)
    with pytest.raises(InputError, match="selection.json: is no selection function"):
        getattr(found, part)


def test_a_folder_without_facts_is_a_sentence(tmp_path):
    with pytest.raises(InputError, match=r"selection.json: cannot be read \(No such file"):
        read_selection(tmp_path)
