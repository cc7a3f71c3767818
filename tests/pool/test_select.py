"""The negatives of one file: columns as the rules have them, far from lenses; a bad column is named."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lensctl.astro import geometry
from lensctl.astro.lens_units import Lenses
from lensctl.rules import split
from lensctl.rules.derived import confuser_category
from lensctl.rules.errors import InputError
from tests.toys import catalogs as toys
from tests.toys.negatives import kept


def test_columns_follow_from_the_rules(sweep):
    rows, _ = kept(sweep)
    first = rows.slice(0, 1).to_pylist()[0]
    assert first["galaxy_id"] == f"{first['brickname']}_{first['objid']}"
    assert first["mag_r"] == pytest.approx(22.5 - 2.5 * np.log10(first["flux_r"]), abs=1e-5)
    assert first["g_minus_r"] == pytest.approx(first["mag_g"] - first["mag_r"], abs=1e-5)
    pixels = split.healpix(rows["ra"].to_numpy(), rows["dec"].to_numpy())
    assert rows["healpix_128"].to_pylist() == pixels.tolist()
    assert rows["split"].to_pylist() == [split.split_of(int(pixel)) for pixel in pixels]
    columns = {name: rows[name].to_numpy(zero_copy_only=False) for name in rows.column_names}
    assert rows["confuser_category"].to_pylist() == list(confuser_category(columns))
    assert {row["pool"] == "N2" for row in rows.to_pylist() if row["confuser_category"]} == {True}
    assert first["sweep_file"] == "sweep-150p002-160p007.fits"


def test_ellipticity_and_sersic_are_really_used(tmp_path):
    raw = toys.rows(2000)
    round_ = raw.set_column(raw.column_names.index("shape_e1"), "shape_e1", pa.array(np.zeros(2000, "f4")))
    round_ = round_.set_column(raw.column_names.index("shape_e2"), "shape_e2", pa.array(np.zeros(2000, "f4")))
    assert "edge_on_proxy" in kept(toys.write_fits(raw, tmp_path / "a.fits"))[0]["confuser_category"].to_pylist()
    assert "edge_on_proxy" not in kept(toys.write_fits(round_, tmp_path / "b.fits"))[0]["confuser_category"].to_pylist()


def test_rows_near_a_lens_are_left_out(sweep):
    rows, _ = kept(sweep)
    ra, dec = rows["ra"].to_numpy()[:50], rows["dec"].to_numpy()[:50] + 9.0 / 3600
    left, funnel = kept(sweep, lenses=Lenses(("here", "again"), ((ra[:20], dec[:20]), (ra[20:], dec[20:]))))
    assert funnel.lost["near a lens"] >= 50
    assert (geometry.nearest(left["ra"].to_numpy(), left["dec"].to_numpy(), ra, dec)[1] > 11).all()


def test_batches_and_pieces_do_not_matter(tmp_path, monkeypatch):
    path = toys.write_fits(toys.rows(1000), tmp_path / "s.fits")
    expected, funnel = kept(path)
    monkeypatch.setattr("lensctl.io.fits.tables.BATCH_ROWS", 7)
    monkeypatch.setattr("lensctl.pool.select.PIECE_ROWS", 100)
    again, others = kept(path)
    assert again.equals(expected)
    assert others == funnel


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.drop_columns(["sersic"]), "column 'sersic' is missing"),
        (
            lambda t: t.set_column(t.column_names.index("ra"), "ra", pa.array([float("nan")] * t.num_rows)),
            "column 'ra' is null or NaN",
        ),
        (
            lambda t: t.set_column(t.column_names.index("ra"), "ra", pa.array([400.0] * t.num_rows)),
            "ra = 400.0 in row 0",
        ),
    ],
)
def test_bad_columns_are_named(tmp_path, spoil, message):
    path = toys.write_fits(spoil(toys.rows(20)), tmp_path / "s.fits")
    with pytest.raises(InputError, match=message):
        kept(path)
