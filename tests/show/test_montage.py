"""Montages of cutouts: which, in what order and with what labels, and that each is drawn as it is."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.image import imread

from lensctl.astro.rgb import BAND_GAIN
from lensctl.inject import inject
from lensctl.io.cutouts import npz
from lensctl.io.provenance.steps import Step, to_json
from lensctl.io.tables.files import read_table, write_table
from lensctl.rules.errors import InputError
from lensctl.show.identify import identify
from lensctl.show.montage import Strip, choose, draw, open_source
from tests.show.toys import an_npz
from tests.toys import pixels
from tests.toys.hosts import make_hosts
from tests.toys.manifests import toy_manifest, with_store
from tests.toys.surveys import WIDE


def test_the_real_cutouts_are_read_and_drawn(real_data):
    folder = real_data / "dr10-cutouts"
    facts = identify(str(folder / "0001m040_4091.npz"))
    assert facts.values["size_px"] == 101
    bands = choose(open_source(str(folder)), [], 10)
    assert [len(band.images) for band in bands] == [3]
    picture = imread(BytesIO(draw(bands)))
    assert picture.shape[1] > 900
    assert 0.15 < picture[100:200, 100:200, :3].mean() < 0.6


def test_a_montage_shows_each_cutout_once_north_up_and_at_a_whole_zoom():
    images = np.zeros((3, 8, 8, 3), np.float32)
    images[:, 7, 0] = 50.0 / np.array([BAND_GAIN[band] for band in "grz"])  # north-east corner: white
    picture = imread(BytesIO(draw([Strip("", images, [[], [], []])], columns=3)))
    assert picture.shape[:2] == (6 + 32 + 6, 3 * 38 + 6)
    bright = (picture[..., :3] == 1.0).all(axis=-1)
    inner = bright[6:38]
    for x in (6, 44, 82):
        assert inner[:4, x : x + 4].all()
        assert not inner[5:, x : x + 32].any()


def test_the_same_montage_has_the_same_bytes(manifest):
    source = open_source(str(manifest))
    pictures = {draw(choose(source, ["lenses: label = 1", "label = 0"], 8)) for _ in range(2)}
    assert len(pictures) == 1


def test_rows_of_a_montage_are_chosen_by_sql_in_the_order_of_the_table(manifest):
    table = read_table(str(manifest))
    ids = [row["galaxy_id"] for row in table.to_pylist() if row["label"] == 1]
    bands = choose(open_source(str(manifest)), ["Lenses: label = 1", "label = 0"], 4, where="cutout_ok")
    assert [(band.heading, len(band.images)) for band in bands] == [("Lenses", 4), ("label = 0", 4)]
    assert [label[0] for label in bands[0].labels] == ids[:4]
    last = choose(open_source(str(manifest)), ["label = 1"], 2, order="galaxy_id DESC")[0]
    assert [label[0] for label in last.labels] == sorted(ids)[::-1][:2]
    assert last.heading == ""


def test_the_pixels_of_a_manifest_are_those_of_its_rows(manifest):
    found = choose(open_source(str(manifest)), [], 60)[0]
    assert np.array_equal(found.images, pixels.images(60, 12))


def test_ids_are_drawn_in_the_order_asked(tmp_path):
    images = pixels.images(6)
    pixels.make_store(tmp_path / "s.zarr", images)
    wanted = [pixels.ids(6)[k] for k in (4, 0)]
    (band,) = choose(open_source(str(tmp_path / "s.zarr")), [], 24, ids=wanted)
    assert np.array_equal(band.images, images[[4, 0]])
    with pytest.raises(InputError, match="no galaxy nobody_1"):
        choose(open_source(str(tmp_path / "s.zarr")), [], 24, ids=["nobody_1"])


def test_labels_are_columns_and_a_status_that_is_not_ok(tmp_path):
    images = pixels.images(2)
    images[1] = np.nan
    pixels.make_store(tmp_path / "s.zarr", images)
    (band,) = choose(open_source(str(tmp_path / "s.zarr")), [], 2, label=["galaxy_id", "ra"])
    assert band.labels == [["1500p020_0", "10"], ["1500p020_1", "10.1", "missing_band"]]
    (bare,) = choose(open_source(str(tmp_path / "s.zarr")), [], 2, label=[])
    assert bare.labels == [[], ["missing_band"]]
    with pytest.raises(InputError, match="'p' is missing"):
        choose(open_source(str(tmp_path / "s.zarr")), [], 2, label=["p"])


def test_an_injection_is_drawn_without_its_arc_as_arc_and_whole(tmp_path):
    hosts = make_hosts(tmp_path, count=70, size=64)
    inject(hosts.table, hosts.store, tmp_path / "i.zarr", per_host=4, noise="none", workers=1)
    source = open_source(str(tmp_path / "i.zarr"))
    (strip,) = choose(source, ["k = 1"], 2, label=["galaxy_id"])
    first = hosts.rows["galaxy_id"][0].as_py()
    assert strip.together == 3
    assert strip.labels[:3] == [["without its arc"], ["arc alone"], [f"{first}#1"]]
    for host, i in ((0, 0), (1, 3)):
        assert strip.images[i] == pytest.approx(hosts.images[host], abs=1e-5)
        assert strip.images[i + 1].max() > 0
        assert strip.images[i + 2] == pytest.approx(strip.images[i] + strip.images[i + 1], abs=1e-6)
    assert imread(BytesIO(draw([strip], columns=4))).shape[1] == 3 * (64 * 4 + 6) + 6  # a line holds whole galaxies
    last = hosts.rows["galaxy_id"][69].as_py()
    with pytest.raises(InputError, match=rf"no galaxy {last}#0 in the table among the first 256, whose arcs are kept"):
        choose(source, [], 1, ids=[f"{last}#0"])


def test_nothing_to_draw_is_an_error(manifest, tmp_path):
    with pytest.raises(InputError, match="no cutout meets"):
        choose(open_source(str(manifest)), ["label = 7"], 4)
    write_table(pa.table({"galaxy_id": ["a_1"]}), str(tmp_path / "t.parquet"))
    with pytest.raises(InputError, match="cutout_path"):
        open_source(str(tmp_path / "t.parquet"))


def test_cutouts_of_another_survey_are_drawn_in_its_picture_bands(tmp_path):
    images = np.random.default_rng(0).normal(0, 0.01, (20, 9, 9, 4)).astype(np.float32)
    images[:, 2:7, 2:7, WIDE.bands.index("J")] += 0.2  # the red one
    manifest = with_store(tmp_path, toy_manifest(6, 14, survey=WIDE), images)
    chain = to_json((Step("cutout", {}, survey=WIDE),)).encode()
    an_npz(tmp_path / "one.npz", images[0], **{npz.PROVENANCE.removeprefix("meta_"): chain})
    for path in (manifest, tmp_path / "cutouts.zarr", tmp_path / "one.npz"):
        (strip,) = choose(open_source(str(path)), [], 1, label=[])
        assert strip.survey == WIDE
        picture = imread(BytesIO(draw([strip], columns=1)))[..., :3]
        inner = picture[6 + 12 : 6 + 24, 6 + 12 : 6 + 24].mean(axis=(0, 1))
        assert inner[0] > 1.5 * inner[1:].max()
