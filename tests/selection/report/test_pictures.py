"""Injections are shown as they were scored, or the store is refused."""

from __future__ import annotations

import base64

import numpy as np
import pyarrow as pa
import pytest

from lensctl.inject import inject
from lensctl.injection.into_cutouts import ARCS
from lensctl.io.cutouts.store import open_store
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from lensctl.selection.report import pictures
from tests.toys.manifests import with_rows


@pytest.fixture
def table(injected):
    return open_store(injected).index


def test_rows_are_found_by_name_in_whatever_order(injected, table):
    shuffled = table.take(pa.array([5, 17, 0]))
    more = pa.concat_tables([shuffled, with_rows(shuffled.slice(0, 1), [0], galaxy_id="elsewhere#0")])
    assert pictures.pictured(str(injected), more, LS_DR10).place.tolist() == [5, 17, 0, -1]


def test_a_store_of_the_first_injections_shows_those_of_more(hosts, table, tmp_path):
    inject(hosts.table, hosts.store, tmp_path / "few.zarr", per_host=1, workers=1)
    found = pictures.pictured(str(tmp_path / "few.zarr"), table, LS_DR10)
    assert [row for row, place in enumerate(found.place) if place >= 0] == list(range(0, 18, 2))


def test_three_pictures_of_each_and_what_was_asked_beside_them(injected, table):
    found = pictures.pictured(str(injected), table, LS_DR10)
    columns = {"galaxy_id": table["galaxy_id"].to_pylist(), "p": np.linspace(0, 1, 18)}
    made = pictures.cards(found, [3, 8], columns, LS_DR10)
    assert [card["galaxy_id"] for card in made] == [columns["galaxy_id"][3], columns["galaxy_id"][8]]
    assert [name for name, _ in made[0]["pictures"]] == ["host alone", "arcs alone", "both"]
    uris = [uri for card in made for _, uri in card["pictures"]]
    assert len(set(uris)) == 6
    assert all(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))[:2] == b"\xff\xd8" for uri in uris)
    assert found.has_arcs
    store = open_store(injected)
    arcs = store.read_plane_rows(ARCS, [3])
    same = pictures.colour_pictures((store.read([3]) - arcs).__getitem__, np.arange(1), LS_DR10)
    assert uris[0] == same[0]


def test_found_and_missed_go_from_bright_to_faint_and_surprises_by_p_det():
    magnitude = np.array([24.0, 19, 21, 22, 20, 23])
    detected = np.array([False, True, False, True, False, False])
    p = np.array([0.9, 0.8, 0.7, 0.6, 0.2, np.nan])
    shown = np.array([True, True, True, True, True, False])
    assert pictures.chosen(detected, p, magnitude, shown) == {
        "found": [1, 3],
        "missed": [4, 2, 0],
        "missed where p_det is greatest": [0, 2, 4],
    }


def test_of_many_an_even_choice_is_shown():
    n = 1000
    found = pictures.chosen(np.arange(n) < 500, np.full(n, 0.5), np.arange(n) / 100, np.ones(n, bool))
    assert [len(rows) for rows in found.values()] == [pictures.SHOWN, pictures.SHOWN, pictures.SURPRISES]
    assert (found["found"][0], found["found"][-1]) == (0, 499)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"seed": 7}, "of its injections is not that of the tables"),
        ({"control": "grey"}, "its rows are of control grey, no plain injections"),
        ({"vary": "re+20"}, "its rows are of vary re.20, no plain injections"),
    ],
)
def test_other_injections_are_refused(hosts, table, tmp_path, options, text):
    inject(hosts.table, hosts.store, tmp_path / "other.zarr", per_host=1, workers=1, **options)
    with pytest.raises(InputError, match=text):
        pictures.pictured(str(tmp_path / "other.zarr"), table, LS_DR10)


def test_a_store_of_other_hosts_and_one_of_no_injections_are_refused(injected, hosts, table):
    names = pa.array([f"other_{i}#0" for i in range(18)])
    other = table.set_column(table.column_names.index("galaxy_id"), "galaxy_id", names)
    with pytest.raises(InputError, match="none of its injections is in the tables"):
        pictures.pictured(str(injected), other, LS_DR10)
    with pytest.raises(InputError, match="columns 'control', 'vary', .* are missing"):
        pictures.pictured(str(hosts.store), table, LS_DR10)


def test_a_column_that_is_no_number_is_refused_by_name(injected, table):
    text = table.set_column(table.column_names.index("source_x"), "source_x", pa.array(["left"] * 18))
    with pytest.raises(InputError, match="the injections: .*source_x"):
        pictures.pictured(str(injected), text, LS_DR10)
