"""The cutout service: every good answer to the bit, every bad one named, nobody asked too fast or in vain."""

from __future__ import annotations

import dataclasses
import random
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lensctl.io.cutouts.layout import Layout
from lensctl.io.cutouts.store import open_store
from lensctl.io.cutouts.writer import ShardWriter
from lensctl.io.imaging.making import MadeStore, make
from lensctl.io.imaging.viewer import ViewerSource
from lensctl.io.imaging.viewer_response import CutoutRequest, judge, shown_layer
from lensctl.io.provenance.steps import Step
from lensctl.io.storage.backoff import Pace, retry_after_seconds
from lensctl.io.storage.retry import RetryPolicy
from lensctl.rules.errors import InputError, ServiceError
from lensctl.rules.survey import LS_DR10, Survey
from tests.toys.folders import folder_digest
from tests.toys.surveys import INFRARED, ONE_BAND
from tests.toys.viewer_server import Service, answer, pixels, serving

SIZE = 15
NOW = datetime(2026, 2, 8, 22, 13, 40, tzinfo=UTC)


@pytest.fixture
def service() -> Iterator[Service]:
    with serving() as running:
        yield running


def table(count: int, first: int = 0) -> pa.Table:
    number = np.arange(first, first + count)
    return pa.table({"galaxy_id": [f"1500p020_{i}" for i in number], "ra": 150 + number / 64, "dec": 2 + number / 256})


def fetch(
    service: Service,
    path: Path,
    objects: pa.Table,
    *,
    layer: str = "ls-dr10",
    allow_release: bool = False,
    connections: int = 4,
    tries: int = 6,
    timeout: float = 5.0,
    shard_rows: int = 8,
    seed: int = 0,
    longest_wait_seconds: float = 0.05,
    **pace: float,
) -> MadeStore:
    asked = CutoutRequest.of(service.url, SIZE, LS_DR10, layer, 0.262, allow_release)
    limits = Pace(
        time.monotonic,
        random.Random(seed).random,
        retry=RetryPolicy(tries, first_wait_seconds=0.01, longest_wait_seconds=longest_wait_seconds),
        **{"patience": 5.0, **pace},
    )
    source = ViewerSource(asked, limits, lambda: NOW, connections, timeout)
    chain = (Step("cutout", {"layer": layer, "rows": objects.num_rows}),)
    return make(objects, str(path), source, Layout(objects.num_rows, SIZE, LS_DR10.bands, shard_rows), chain)


def sky(ra: float, dec: float) -> np.ndarray:
    return pixels(ra, dec, SIZE, "grz").transpose(1, 2, 0)


def test_good_answers_come_to_the_bit_with_all_that_is_known_of_them(service: Service, tmp_path: Path) -> None:
    objects = table(20)
    made = fetch(service, tmp_path / "a.zarr", objects)
    assert made.statuses == {"ok": 20}
    images = made.store.read(np.arange(20))
    for row, (ra, dec) in enumerate(zip(objects["ra"].to_pylist(), objects["dec"].to_pylist(), strict=True)):
        assert images[row].tobytes() == np.ascontiguousarray(sky(ra, dec)).tobytes()
    row = made.store.index.slice(3, 1).to_pylist()[0]
    assert row["url_or_brick"] == (
        f"{service.url}/fits-cutout?ra=150.046875&dec=2.01171875&size=15&layer=ls-dr10&pixscale=0.262&bands=grz"
    )
    assert (row["release"], row["layer"], row["source"]) == ("DR10", "ls-dr10", "viewer")
    assert (row["http_status"], row["attempts"], row["error"]) == (200, 1, None)
    assert row["downloaded_at"] == "2026-02-08T22:13:40+00:00"
    assert (row["offset_x_px"], row["pixel_scale_arcsec"]) == (0.0, 0.262)
    assert row["seconds"] > 0


def test_every_request_says_everything_and_who_asks(service: Service, tmp_path: Path) -> None:
    fetch(service, tmp_path / "a.zarr", table(3))
    assert len(service.queries) == 3
    for query in service.queries:
        assert query.keys() == {"ra", "dec", "size", "layer", "pixscale", "bands"}
    assert all(agent.startswith("lensctl/") for agent in service.agents)


PASSING = ["429", "429 0", "429 date", "500", "502", "503 bare", "reset", "short", "short honest", "html"]
DOUBTED = {"shape", "bands", "position"}


@pytest.mark.parametrize("fault", [*PASSING, "slow 1", "drip", "shape", "bands", "position", "layer"])
def test_a_fault_that_passes_leaves_no_trace_but_the_attempts(service: Service, tmp_path: Path, fault: str) -> None:
    service.faults[150.0] = [fault]
    made = fetch(service, tmp_path / "a.zarr", table(4), timeout=0.5)
    assert made.statuses == {"ok": 4}
    attempts = made.store.index["attempts"].to_pylist()
    assert attempts[1:] == [1, 1, 1]
    assert attempts[0] == 2 or fault == "reset", "aiohttp itself asks again on a connection it had used before"
    assert np.array_equal(made.store.read([0])[0], sky(150.0, 2.0))


def test_an_answer_counts_against_its_own_kind_only(service: Service, tmp_path: Path) -> None:
    service.faults[150.0625] = ["503 bare", "500", "500"]
    service.faults[150.125] = ["shape", "bands", "429 0", "position"]
    made = fetch(service, tmp_path / "a.zarr", table(16))
    assert made.statuses == {"ok": 16}, "three answers, but not three that say: outside the footprint"
    assert made.store.index["attempts"].to_pylist()[4:9] == [4, 1, 1, 1, 5]


LASTING = {
    "400": ("outside_footprint", 1, "HTTP 400"),
    "404": ("http_error", 2, "HTTP 404"),
    "429": ("http_error", 6, "HTTP 429"),
    "500": ("outside_footprint", 3, "HTTP 500"),
    "500 bare": ("http_error", 6, "HTTP 500"),
    "502": ("http_error", 6, "HTTP 502"),
    "reset": ("http_error", 6, "disconnected"),
    "short": ("bad_file", 6, "truncated"),
    "short honest": ("bad_file", 6, "truncated"),
    "html": ("bad_file", 6, "not a FITS image"),
    "ints": ("bad_file", 6, "BITPIX"),
    "slow 1": ("timeout", 6, "no response within"),
    "shape": ("wrong_shape", 2, "10x10 px, not 15x15"),
    "planes": ("wrong_shape", 2, "4 planes, not 3"),
    "bands": ("wrong_bands", 2, "'griz', not 'grz'"),
    "position": ("wrong_position", 2, "px off"),
    "scale": ("wrong_position", 2, "0.5000 arcsec per pixel"),
    "release": ("wrong_release", 2, "DR8, not DR10"),
    "layer": ("bad_file", 3, "knows no layer"),
}


@pytest.mark.parametrize("fault", LASTING)
def test_a_fault_that_lasts_is_named_and_its_row_is_nan(service: Service, tmp_path: Path, fault: str) -> None:
    status, attempts, error = LASTING[fault]
    service.always[150.0625] = fault
    made = fetch(service, tmp_path / "a.zarr", table(40), timeout=0.3, tries=6, connections=2)
    row = made.store.index.slice(4, 1).to_pylist()[0]
    assert (row["status"], row["attempts"]) == (status, attempts)
    assert error in row["error"]
    assert not row["cutout_ok"]
    assert np.isnan(made.store.read([4])).all()
    assert made.statuses == {"ok": 39, status: 1}


@pytest.mark.parametrize(
    ("fault", "status"),
    [("zero", "missing_band"), ("nan", "missing_band"), ("hole", "nan_center"), ("half", "half_empty")],
)
def test_pixels_have_the_last_word(service: Service, tmp_path: Path, fault: str, status: str) -> None:
    service.always[150.0] = fault
    made = fetch(service, tmp_path / "a.zarr", table(2))
    assert made.store.index["status"].to_pylist() == [status, "ok"]
    assert made.store.index["attempts"].to_pylist() == [1, 1]
    assert np.array_equal(made.store.read([0])[0, ..., 0], sky(150.0, 2.0)[..., 0]), "the other bands are kept"


def test_another_release_is_taken_where_it_is_allowed(service: Service, tmp_path: Path) -> None:
    service.always[150.0] = "release"
    made = fetch(service, tmp_path / "a.zarr", table(2), allow_release=True)
    assert made.store.index["release"].to_pylist() == ["DR8", "DR10"]
    assert made.statuses == {"ok": 2}


def test_a_layer_that_does_not_exist_stops_at_once(service: Service, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="knows no layer ls-dr11"):
        fetch(service, tmp_path / "a.zarr", table(200), layer="ls-dr11")
    assert len(service.queries) < 30
    assert not (tmp_path / "a.zarr").exists()


def test_a_wrong_address_stops_soon(service: Service, tmp_path: Path) -> None:
    service.url = service.url.replace("viewer", "wiever")
    with pytest.raises(ServiceError, match="none of the first 50 responses .* HTTP 404"):
        fetch(service, tmp_path / "a.zarr", table(400))


def test_nobody_there_stops_with_a_plain_sentence(tmp_path: Path) -> None:
    with serving() as gone:
        pass
    started = time.monotonic()
    with pytest.raises(ServiceError, match="does not respond") as caught:
        fetch(gone, tmp_path / "a.zarr", table(40), patience=3.0)
    assert time.monotonic() - started < 3
    assert "rerun the command" in caught.value.fix


def test_a_service_that_goes_down_is_waited_for_then_given_up_and_the_next_run_goes_on(
    service: Service, tmp_path: Path
) -> None:
    objects = table(40)
    service.down_after = 20
    with pytest.raises(ServiceError, match="does not respond: .* HTTP 503"):
        fetch(service, tmp_path / "a.zarr", objects, patience=0.3)
    done = sum(service.asked[ra] for ra in objects["ra"].to_pylist()[:16])
    service.down_after = None
    service.down = False
    made = fetch(service, tmp_path / "a.zarr", objects)
    assert made.statuses == {"ok": 40}
    assert sum(service.asked[ra] for ra in objects["ra"].to_pylist()[:16]) == done, "finished shards are kept"


def test_a_short_outage_costs_nothing(service: Service, tmp_path: Path) -> None:
    objects = table(40)
    service.down_after = 12

    def back(self: Service = service) -> None:
        time.sleep(0.7)
        self.down_after = None

    threading.Thread(target=back).start()
    made = fetch(service, tmp_path / "a.zarr", objects, tries=4)
    assert made.statuses == {"ok": 40}


def test_while_the_service_is_down_it_is_asked_less_and_less(service: Service, tmp_path: Path) -> None:
    service.down_after = 8
    with pytest.raises(ServiceError):
        fetch(service, tmp_path / "a.zarr", table(40), patience=1.0, longest_wait_seconds=10.0)
    assert len(service.queries) < 8 + 4 + 8 + 12


def test_a_broken_server_is_not_taken_for_the_edge_of_the_sky(service: Service, tmp_path: Path) -> None:
    objects = table(40)
    service.always = dict.fromkeys(objects["ra"].to_pylist(), "500")
    service.faults[150.0] = [""]  # shown once, and broken since
    with pytest.raises(ServiceError, match="HTTP 500 for positions that worked before"):
        fetch(service, tmp_path / "a.zarr", objects, patience=0.3, connections=1)


def test_what_the_service_asks_for_is_waited_and_by_everyone(service: Service, tmp_path: Path) -> None:
    service.faults[150.0] = ["429 1"]
    fetch(service, tmp_path / "a.zarr", table(12), connections=2)
    refused = service.times[0]
    asked_at_once = sum(at - refused < 0.2 for at in service.times)
    assert asked_at_once <= 4, "the others wait too"
    assert service.times[-1] - refused >= 1.0


def test_a_wait_that_is_asked_for_has_a_limit(service: Service, tmp_path: Path) -> None:
    service.faults[150.0] = ["429 100000"]
    started = time.monotonic()
    assert fetch(service, tmp_path / "a.zarr", table(2), longest_asked=0.2).statuses == {"ok": 2}
    assert time.monotonic() - started < 5


def test_connections_and_rate_are_kept(service: Service, tmp_path: Path) -> None:
    service.delay = 0.02
    fetch(service, tmp_path / "a.zarr", table(30), connections=3)
    assert service.most_at_once == 3
    service.delay = 0.0
    service.times.clear()
    fetch(service, tmp_path / "b.zarr", table(20), connections=8, rate=40.0)
    assert service.times[-1] - service.times[0] >= 0.9 * 19 / 40


def test_what_failed_for_a_passing_reason_is_taken_up_again_and_nothing_else(service: Service, tmp_path: Path) -> None:
    objects = table(24)
    ra = objects["ra"].to_pylist()
    service.always = {ra[3]: "502", ra[12]: "400", ra[20]: "bands"}
    first = fetch(service, tmp_path / "a.zarr", objects)
    assert first.statuses == {"ok": 21, "http_error": 1, "outside_footprint": 1, "wrong_bands": 1}
    untouched = (tmp_path / "a.zarr/images/c/1/0/0/0").stat().st_ino
    service.always = {ra[12]: "400", ra[20]: "bands"}
    service.asked.clear()
    second = fetch(service, tmp_path / "a.zarr", objects)
    assert dict(service.asked) == {ra[3]: 1}
    assert second.statuses == {"ok": 22, "outside_footprint": 1, "wrong_bands": 1}
    assert second.cut == 1
    assert (tmp_path / "a.zarr/images/c/1/0/0/0").stat().st_ino == untouched
    assert np.array_equal(second.store.read([3, 4])[0], sky(ra[3], objects["dec"][3].as_py()))
    service.asked.clear()
    assert fetch(service, tmp_path / "a.zarr", objects).cut == 0
    assert not service.asked
    service.always.clear()
    whole = fetch(service, tmp_path / "b.zarr", table(24))
    service.always = {ra[12]: "400", ra[20]: "bands"}
    again = fetch(service, tmp_path / "c.zarr", objects)
    assert second.store.digest == again.store.digest != whole.store.digest


def test_what_still_fails_leaves_the_store_as_it_was(service: Service, tmp_path: Path) -> None:
    objects = table(24)
    service.always = {150.0: "502"}
    fetch(service, tmp_path / "a.zarr", objects)
    before = folder_digest(tmp_path / "a.zarr")
    assert fetch(service, tmp_path / "a.zarr", objects).statuses == {"ok": 23, "http_error": 1}
    assert folder_digest(tmp_path / "a.zarr") == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


@pytest.mark.parametrize(("rows", "outage"), [(500, 0.5), pytest.param(10_000, 30.0, marks=pytest.mark.soak)])
def test_many_faults_in_a_random_order(service: Service, tmp_path: Path, rows: int, outage: float) -> None:
    chance = random.Random(7)
    objects = table(rows)
    ra = objects["ra"].to_pylist()
    passing = [*PASSING * 4, "drip", "slow 1", *sorted(DOUBTED)]
    lasting = ["400", "500", "shape", "bands", "position", "release", "zero", "hole", "html", "short"]
    expected = {}
    for row, place in enumerate(ra):
        service.faults[place] = [chance.choice(passing) for _ in range(chance.choice([0, 0, 0, 1, 2]))]
        if chance.random() < 0.15:
            fault = chance.choice(lasting)
            service.always[place] = fault
            expected[row] = {"zero": "missing_band", "hole": "nan_center"}.get(fault) or LASTING[fault][0]
        if len(set(service.faults[place])) == 1:  # the same wrong answer twice is believed
            service.faults[place] = service.faults[place][:1]

    def down_for_a_while() -> None:
        while len(service.queries) < rows // 3:
            time.sleep(0.01)
        service.down = True
        time.sleep(outage)
        service.down = False

    threading.Thread(target=down_for_a_while, daemon=True).start()
    patience = {"longest_asked": 0.05, "patience": 5 * outage + 5, "tries": 8, "timeout": 0.5}
    made = fetch(service, tmp_path / "a.zarr", objects, shard_rows=64, connections=8, **patience)
    found = made.store.index["status"].to_pylist()
    assert made.store.index["galaxy_id"].to_pylist() == objects["galaxy_id"].to_pylist(), "none missing, none twice"
    reasons = made.store.index["error"].to_pylist()
    images = made.store.read(np.arange(rows))
    in_the_outage = 0
    for row, status in enumerate(found):
        if status == "http_error" and "503" in reasons[row]:
            in_the_outage += 1
            assert row in expected
            continue
        assert status == expected.get(row, "ok"), (row, service.always.get(ra[row]))
        if status == "ok":
            assert np.array_equal(images[row], sky(ra[row], objects["dec"][row].as_py()))
        elif status not in ("missing_band", "nan_center"):
            assert np.isnan(images[row]).all()
    assert in_the_outage <= 8, "bad ones whose last try fell into the outage, of which there are connections at most"


def test_a_full_disk_stops_the_run(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "a.zarr")

    monkeypatch.setattr(ShardWriter, "record", full)
    with pytest.raises(OSError, match="No space left"):
        fetch(service, tmp_path / "a.zarr", table(200))
    assert len(service.queries) < 100


def asked(**change: object) -> CutoutRequest:
    return CutoutRequest.of(
        **{"url": "http://x", "size": SIZE, "survey": LS_DR10, "layer": "ls-dr10", "pixscale": 0.262} | change,
        allow_release=False,
    )


def test_a_real_answer_has_the_length_of_a_real_answer() -> None:
    assert len(answer(10.0, 2.0, 101, "grz", "ls-dr10", 0.262)) == 126_720


@pytest.mark.parametrize("ra", [0.0, 0.00001, 359.99999, 180.0])
def test_positions_are_compared_across_zero(ra: float) -> None:
    body = answer((ra + 0.00001) % 360, -80.0, SIZE, "grz", "ls-dr10", 0.262)
    assert judge(asked(), ra, -80.0, 200, body).status is None


def test_a_single_band_is_a_plane_and_not_a_cube() -> None:
    body = answer(10.0, 2.0, SIZE, "r", "ls-dr10", 0.262)
    found = judge(asked(survey=ONE_BAND), 10.0, 2.0, 200, body)
    assert found.image is not None
    assert found.image.shape == (SIZE, SIZE, 1)


def test_an_answer_cut_anywhere_is_never_taken() -> None:
    body = answer(10.0, 2.0, SIZE, "grz", "ls-dr10", 0.262)
    data = 3 * SIZE * SIZE * 4
    header = len(body) - -(-data // 2880) * 2880
    for length in range(0, header + data, 97):
        assert judge(asked(), 10.0, 2.0, 200, body[:length]).status == "bad_file"
    assert judge(asked(), 10.0, 2.0, 200, body[: header + data]).status is None, "only padding is missing"


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("5", 5.0),
        (" 0 ", 0.0),
        (format_datetime(NOW + timedelta(seconds=30), usegmt=True), 30.0),
        (format_datetime(NOW - timedelta(seconds=30), usegmt=True), 0.0),
        ("soon", None),
        ("", None),
        ("-3", None),
    ],
)
def test_how_long_to_wait_is_said_in_seconds_or_as_a_date(given: str, seconds: float | None) -> None:
    assert retry_after_seconds({"Retry-After": given}, NOW) == seconds


@pytest.mark.parametrize(
    ("layer", "ra", "dec", "shown"),
    [
        ("ls-dr10", 180.0, 32.4, "ls-dr9-north"),
        ("ls-dr10", 180.0, 32.3, "ls-dr10"),
        ("ls-dr10", 10.0, 33.0, "ls-dr10"),
        ("ls-dr9", 180.0, 60.0, "ls-dr9"),
    ],
)
def test_in_the_north_dr10_is_dr9(layer: str, ra: float, dec: float, shown: str) -> None:
    assert shown_layer(asked(layer=layer), ra, dec) == shown


def test_backoff_grows_with_full_jitter_up_to_a_limit() -> None:
    pace = Pace(time.monotonic, lambda: 1.0)
    assert [pace.before_try(n) for n in (1, 2, 3, 4, 9, 99)] == [0.5, 1.0, 2.0, 4.0, 30.0, 30.0]
    assert Pace(time.monotonic, lambda: 0.0).before_try(5) == 0.0


@given(st.lists(st.tuples(st.integers(0, 5759), st.integers(0, 255)), min_size=1, max_size=12))
@settings(deadline=None)
def test_no_answer_however_broken_is_more_than_a_failure(changes: list[tuple[int, int]]) -> None:
    body = bytearray(answer(10.0, 2.0, SIZE, "grz", "ls-dr10", 0.262))
    for place, value in changes:
        body[place] = value
    found = judge(asked(), 10.0, 2.0, 200, bytes(body))
    assert (found.image is None) == (found.status is not None)


@pytest.mark.parametrize(
    ("survey", "why"),
    [
        (INFRARED, "which names no layer"),
        (dataclasses.replace(INFRARED, layer="deep"), "which has bands of more than one letter"),
    ],
)
def test_a_survey_that_the_service_cannot_show_is_refused_with_what_to_do(survey: Survey, why: str) -> None:
    with pytest.raises(InputError, match=f"the cutout service cannot show survey infrared, {why}") as error:
        asked(survey=survey, layer=survey.layer)
    assert error.value.fix == "use coadds, with --root"


def test_an_answer_that_is_compressed_unasked_is_not_unpacked(service, tmp_path):
    service.faults[150.0] = ["gzip"]
    service.always[150 + 1 / 64] = "gzip"
    fetch(service, tmp_path / "s.zarr", table(3), tries=2)
    index = open_store(tmp_path / "s.zarr").index
    assert index["status"].to_pylist() == ["ok", "bad_file", "ok"]
    assert index["error"].to_pylist()[1] == "compressed (gzip), which was not asked for"
