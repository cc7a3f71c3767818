"""Cutouts: what is said of a store and of single files, and which are refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lensctl.io.cutouts import npz
from lensctl.io.provenance.steps import Step, to_json
from lensctl.rules.errors import InputError
from lensctl.show.identify import identify
from tests.show.toys import an_npz
from tests.toys import pixels
from tests.toys.manifests import toy_manifest, with_store
from tests.toys.surveys import WIDE


def test_a_store_says_its_rows_status_quality_and_chain(tmp_path):
    images = pixels.images(10)
    images[3, :, :, 1] = np.nan
    pixels.make_store(tmp_path / "s.zarr", images)
    facts = identify(str(tmp_path / "s.zarr"))
    assert facts.kind == "cutout store"
    assert (facts.values["rows"], facts.values["usable"], facts.values["size_px"]) == (10, 9, 9)
    assert facts.details["counts"]["status"] == {"ok": 9, "missing_band": 1}
    assert {row["column"] for row in facts.details["quality"]} >= {
        "mean_g",
        "p99_z",
        "bad_pixel_frac",
        "zero_pixel_frac_r",
    }
    assert facts.chain == pixels.CHAIN
    json.dumps(facts.as_json(), allow_nan=False)


def test_one_cutout_says_its_keys_and_quality(tmp_path):
    path = an_npz(tmp_path / "a.npz", pixels.images(1)[0], note="hello")
    facts = identify(str(path))
    assert facts.kind == "cutout (.npz)"
    assert (facts.values["galaxy_id"], facts.values["status"], facts.values["size_px"]) == ("0001m002_7", "ok", 9)
    assert {"key": "meta_note", "dtype": "<U5", "shape": "()", "value": "hello"} in facts.details["keys"]
    assert identify(str(tmp_path)).values["files"] == 1


def test_an_npz_without_a_cutout_says_its_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(3), y="text")
    facts = identify(str(tmp_path / "a.npz"))
    assert facts.kind == "arrays (.npz)"
    assert [row["key"] for row in facts.details["keys"]] == ["x", "y"]


def test_a_torn_store_and_a_pickled_npz_are_errors(tmp_path):
    pixels.make_store(tmp_path / "s.zarr", pixels.images(10))
    (tmp_path / "s.zarr/images/c/1/0/0/0").unlink()
    with pytest.raises(InputError, match="is missing"):
        identify(str(tmp_path / "s.zarr"))
    np.savez(tmp_path / "evil.npz", cutout=np.array([print], object))
    np.savez(tmp_path / "evil2.npz", x=np.array([print], object))
    for name in ("evil.npz", "evil2.npz"):
        with pytest.raises(InputError, match=name):
            identify(str(tmp_path / name))
    with pytest.raises(InputError, match="no such file"):
        identify(str(tmp_path / "nowhere"))


def test_bands_and_survey_are_said_of_a_store_and_of_a_cutout(tmp_path):
    pixels.make_store(tmp_path / "s.zarr", pixels.images(3))
    usual = identify(str(tmp_path / "s.zarr")).values
    assert usual["bands"] == "g, r, z"
    assert usual["survey"] == "ls-dr10: g, r, z at 0.262 arcsec per pixel"
    images = np.random.default_rng(0).normal(0, 0.1, (20, 9, 9, 4)).astype(np.float32)
    table = toy_manifest(6, 14, survey=WIDE)
    with_store(tmp_path, table, images)
    facts = identify(str(tmp_path / "cutouts.zarr"))
    assert facts.values["bands"] == "VIS, Y, J, H"
    assert facts.values["survey"] == "wide: VIS, Y, J, H at 0.1 arcsec per pixel"
    assert {"mean_VIS", "p99_H"} <= {row["column"] for row in facts.details["quality"]}

    chain = to_json((Step("cutout", {}, survey=WIDE),)).encode()
    meta = {"meta_galaxy_id": "1_1", "meta_ra": 1.0, "meta_dec": 2.0, npz.PROVENANCE: chain}
    npz.write_npz(tmp_path / "a.npz", images[0], {key: np.array(value) for key, value in meta.items()})
    facts = identify(str(tmp_path / "a.npz"))
    assert facts.values["survey"] == "wide: VIS, Y, J, H at 0.1 arcsec per pixel"
    assert [row[0] for row in facts.listings[1].rows] == ["VIS", "Y", "J", "H"]


def test_bands_of_a_cutout_of_no_survey_are_numbered(tmp_path):
    facts = identify(str(an_npz(tmp_path / "a.npz", np.ones((9, 9, 2), np.float32))))
    assert [row[0] for row in facts.listings[1].rows] == ["0", "1"]
    assert "survey" not in facts.values
