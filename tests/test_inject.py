"""`lensctl.inject`: pixels, planes and columns hold what is said to be added; controls are paired."""

from __future__ import annotations

import filecmp
import os

import numpy as np
import pyarrow as pa
import pytest
import yaml

from lensctl.inject import inject
from lensctl.injection import preparing
from lensctl.injection.targets import order_of
from lensctl.injection.variations import CONTROLS, VARIATIONS
from lensctl.io.clock import Clock
from lensctl.io.cutouts.store import Store, open_store
from lensctl.io.tables.files import write_table
from lensctl.pack import pack
from lensctl.rules.errors import InputError
from tests.toys import cases
from tests.toys import hosts as toy_hosts
from tests.toys.hosts import GAIN, SKY, Hosts, make_hosts, rows_of
from tests.toys.reporters import Saying


@pytest.fixture(scope="module")
def hosts(tmp_path_factory) -> Hosts:
    return make_hosts(tmp_path_factory.mktemp("hosts"))


@pytest.fixture(scope="module")
def made(hosts, tmp_path_factory) -> Store:
    out = tmp_path_factory.mktemp("made") / "i.zarr"
    inject(hosts.table, hosts.store, out, per_host=4, workers=1)
    return open_store(out)


def injected(hosts: Hosts, folder, **options: object) -> Store:
    out = folder / f"{len(list(folder.iterdir()))}.zarr"
    inject(hosts.table, hosts.store, out, **{"per_host": 2, "workers": 1, **options})
    return open_store(out)


def test_pixels_are_host_plus_arcs_plus_noise_of_the_arcs(hosts, made):
    rows = made.index.to_pandas()
    assert rows["galaxy_id"].tolist() == [f"{id}#{k}" for id in hosts.rows["galaxy_id"].to_pylist() for k in range(4)]
    arcs = made.read_plane("arcs", 0, made.n).astype(float)
    added = made.read(np.arange(made.n)).astype(float) - np.repeat(hosts.images, 4, axis=0)
    flux = 10 ** (0.4 * (22.5 - rows[["arc_mag_g", "arc_mag_r", "arc_mag_z"]].to_numpy()))
    assert arcs.sum(axis=(1, 2)) == pytest.approx(flux, rel=0.02)  # but for what the PSF takes beyond the cutout
    noise = added - arcs
    gain = rows[["gain_g", "gain_r", "gain_z"]].to_numpy()[:, None, None, :]
    rounding = 3e-7 * np.abs(np.repeat(hosts.images, 4, axis=0))
    assert (np.abs(noise) < 7 * np.sqrt(np.maximum(arcs, 1e-9) / gain) + 1e-6 + rounding).all()  # none on blank pixels
    bright = arcs > 0.02
    assert np.std((noise / np.sqrt(np.maximum(arcs, 1e-12) / gain))[bright]) == pytest.approx(1, rel=0.1)


def test_the_variance_grows_by_that_of_the_arcs(hosts, made):
    rows = made.index.to_pandas()
    before, after = (
        1 / np.repeat(hosts.invvar, 4, axis=0).astype(float),
        1 / made.read_plane("invvar", 0, made.n).astype(float),
    )
    arcs = made.read_plane("arcs", 0, made.n).astype(float)
    gain = rows[["gain_g", "gain_r", "gain_z"]].to_numpy()[:, None, None, :]
    bright = arcs > 0.05
    assert ((after - before) / (arcs / gain))[bright] == pytest.approx(np.ones(bright.sum()), rel=0.02)
    assert (after >= before * (1 - 1e-6)).all()


def test_the_gain_is_that_of_the_pixels(made):
    rows = made.index.to_pandas()
    for band, gain in zip("grz", GAIN, strict=True):
        assert rows[f"gain_{band}"].to_numpy() == pytest.approx(np.full(len(rows), gain), rel=0.05)
    assert set(rows["gain_source"]) == {"measured"}


def test_columns_tell_one_story(made):
    rows = made.index.to_pandas()
    for band in "grz":
        mu = 10 ** (0.4 * (rows[f"source_mag_{band}"] - rows[f"lensed_mag_{band}"]))
        assert mu.to_numpy() == pytest.approx(rows["magnification"].to_numpy(), rel=0.15)  # clumps differ a little
        dust = {"g": 0.9, "r": 0.94, "z": 0.97}[band]
        assert (rows[f"arc_mag_{band}"] - rows[f"lensed_mag_{band}"]).to_numpy() == pytest.approx(
            np.full(len(rows), -2.5 * np.log10(dust)), abs=1e-5
        )
    assert (rows["magnification"] > 1).all()
    assert rows["lensed_mag_r"].between(18.5, 24).all()
    assert (rows["source_g_minus_r"] - (rows["source_mag_g"] - rows["source_mag_r"])).abs().max() < 1e-6
    assert (rows["delta_g_minus_r"] - (rows["arc_mag_g"] - rows["arc_mag_r"] - 1.5)).abs().max() < 1e-4
    assert set(rows["n_images"]) <= {2, 3, 4, 5}
    assert rows["design_digest"].nunique() == 1
    assert set(rows["source"]) == {"injected"}
    assert rows["cutout_ok"].all()
    assert {"shape_r", "sersic", "mag_z", "split", "psfdepth_r"} <= set(rows.columns)


def test_rows_of_more_injections_a_host_contain_those_of_fewer(hosts, made, tmp_path):
    few = injected(hosts, tmp_path, per_host=2)
    kept = np.flatnonzero(made.index["k"].to_numpy() < 2)
    assert few.read(np.arange(few.n)).tobytes() == made.read(kept).tobytes()
    assert few.index["galaxy_id"].to_pylist() == made.index["galaxy_id"].take(kept).to_pylist()


@pytest.mark.parametrize("control", cases.first(1, [None, "swapped", "null"]))
def test_the_same_bytes_from_any_number_of_workers_and_any_order_of_hosts(hosts, tmp_path, monkeypatch, control):
    monkeypatch.setattr(preparing, "SAMPLED_HOSTS", 5)  # so that not all hosts tell of the noise
    count = hosts.rows.num_rows
    shuffled = np.random.default_rng(3).permutation(count)
    write_table(hosts.rows.take(shuffled), str(tmp_path / "shuffled.parquet"))
    options = {"per_host": 3, "shard_rows": 8, "control": control}
    inject(hosts.table, hosts.store, tmp_path / "one.zarr", workers=1, **options)
    inject(hosts.table, hosts.store, tmp_path / "two.zarr", workers=2, **options)
    assert not _differing(tmp_path / "one.zarr", tmp_path / "two.zarr")
    inject(tmp_path / "shuffled.parquet", hosts.store, tmp_path / "s.zarr", workers=2, **options)
    one, other = open_store(tmp_path / "one.zarr"), open_store(tmp_path / "s.zarr")
    ids = other.index["galaxy_id"].to_pylist()
    order = [ids.index(id) for id in one.index["galaxy_id"].to_pylist()]
    assert order != sorted(order)
    for name in ("images", "invvar", "arcs"):
        ours, theirs = (_array(store, name) for store in (one, other))
        assert ours.tobytes() == theirs[order].tobytes(), name
    assert one.index.to_pandas().equals(other.index.take(order).to_pandas())


def _array(store: Store, name: str) -> np.ndarray:
    return store.read(np.arange(store.n)) if name == "images" else store.read_plane(name, 0, store.n)


def _differing(one, other) -> list[str]:
    files = [path.relative_to(one) for path in one.rglob("*") if path.is_file()]
    return [str(file) for file in files if not filecmp.cmp(one / file, other / file, shallow=False)]


def test_null_equals_the_host_to_the_bit(hosts, tmp_path):
    null = injected(hosts, tmp_path, control="null")
    assert null.read(np.arange(null.n)).tobytes() == np.repeat(hosts.images, 2, axis=0).tobytes()
    assert null.read_plane("invvar", 0, null.n).tobytes() == np.repeat(hosts.invvar, 2, axis=0).tobytes()


def test_noise_is_that_of_the_injection_without_its_arcs(hosts, tmp_path):
    plain, noise = injected(hosts, tmp_path), injected(hosts, tmp_path, control="noise")
    both = plain.read(np.arange(plain.n)) - plain.read_plane("arcs", 0, plain.n)
    assert noise.read(np.arange(noise.n)) == pytest.approx(both, abs=2e-6)
    assert (noise.read_plane("arcs", 0, noise.n) == 0).all()


@pytest.mark.parametrize("control", ["unlensed", "radial", "axisymmetric", "grey", "swapped"])
def test_controls_add_other_pixels_of_a_known_flux(hosts, tmp_path, control):
    plain, other = injected(hosts, tmp_path), injected(hosts, tmp_path, control=control)
    assert set(other.index["control"].to_pylist()) == {control}
    flux = 10 ** (0.4 * (22.5 - np.stack([other.index[f"arc_mag_{b}"].to_numpy() for b in "grz"], axis=1)))
    arcs = other.read_plane("arcs", 0, other.n)
    assert arcs.sum(axis=(1, 2)) == pytest.approx(flux, rel=0.03)
    assert (np.abs(arcs - plain.read_plane("arcs", 0, plain.n)).max(axis=(1, 2, 3)) > 1e-5).all()
    of_r = [store.index["arc_mag_r"].to_numpy() for store in (plain, other)]
    if control == "grey":
        assert of_r[0] == pytest.approx(of_r[1], abs=1e-9)
        assert np.abs(other.index["delta_g_minus_r"].to_numpy()).max() < 1e-6
    elif control == "swapped":
        ids = hosts.rows["galaxy_id"].to_pylist()
        order = order_of(ids, 42)
        mine, next_ = np.array(order), np.roll(order, -1)
        theta_e, radius = (plain.index[name].to_numpy().reshape(-1, 2) for name in ("theta_e", "source_r_half"))
        assert other.index["theta_e"].to_numpy().reshape(-1, 2)[mine] == pytest.approx(theta_e[next_])
        assert other.index["source_r_half"].to_numpy().reshape(-1, 2)[mine] == pytest.approx(radius[next_])
    else:
        assert of_r[0] == pytest.approx(of_r[1], abs=1e-9)


def test_turned_arcs_lie_across_and_a_ring_about_the_galaxy(hosts, tmp_path):
    plain, ring = injected(hosts, tmp_path), injected(hosts, tmp_path, control="axisymmetric")
    axis = np.arange(101) - 50
    angle = np.arctan2(axis[:, None] + 0.3, axis[None, :] - 0.2)

    def direction(store: Store) -> np.ndarray:
        arcs = store.read_plane("arcs", 0, store.n)[..., 1].astype(float)
        x, y = ((arcs * part(angle)).sum(axis=(1, 2)) for part in (np.cos, np.sin))
        return np.hypot(x, y) / arcs.sum(axis=(1, 2))

    assert direction(ring).max() < 0.12
    assert np.median(direction(plain)) > 0.2


@pytest.mark.parametrize("name", cases.first(4, VARIATIONS))
def test_variations_change_pixels_and_are_named(hosts, tmp_path, name):
    plain, varied = injected(hosts, tmp_path), injected(hosts, tmp_path, vary=name)
    assert set(varied.index["vary"].to_pylist()) == {name}
    assert plain.index["k"].to_pylist() == varied.index["k"].to_pylist()
    changed = (plain.read(np.arange(plain.n)) != varied.read(np.arange(varied.n))).any(axis=(1, 2, 3))
    has_shape = np.repeat(np.array(hosts.rows["type"].to_pylist()) != "REX", 2)
    assert changed.tolist() == (has_shape.tolist() if name == "q-free" else [True] * plain.n)
    if name.startswith("colour"):
        shift = (varied.index["source_g_minus_r"].to_numpy() - plain.index["source_g_minus_r"].to_numpy()).mean()
        assert shift == pytest.approx(float(name.removeprefix("colour")), abs=0.02)
    if name.startswith("re"):
        ratio = varied.index["source_r_half"].to_numpy() / plain.index["source_r_half"].to_numpy()
        assert ratio == pytest.approx(np.full(len(ratio), 1 + float(name.removeprefix("re")) / 100))


def test_without_invvar_the_noise_is_the_catalogues_and_the_gain_nominal(tmp_path):
    hosts = make_hosts(tmp_path / "h", invvar=False)
    report = Saying()
    receipt = inject(hosts.table, hosts.store, tmp_path / "i.zarr", per_host=1, workers=1, report=report)
    assert receipt["gain_source"] == dict.fromkeys("grz", "nominal")
    assert "the nominal sky of 0.112 nanomaggies a pixel is used (the store has no invvar)" in " ".join(report.said)
    store = open_store(tmp_path / "i.zarr")
    assert store.layout.planes == ("arcs",)
    nea = 4 * np.pi * (1.25 / 2.3548 / 0.262) ** 2
    assert store.index["gain_r"].to_numpy() == pytest.approx(0.2312 * 300 * nea, rel=0.01)


def test_a_file_of_gains_and_one_of_a_design_are_used(hosts, tmp_path):
    (tmp_path / "gain.yaml").write_text(yaml.safe_dump({"g": 30000, "r": 40000.0, "z": 32000}))
    (tmp_path / "design.yaml").write_text("theta_e_arcsec: [1.0, 1.1]\nlensed_mag: [19, 20]\n")
    store = injected(hosts, tmp_path, gain=str(tmp_path / "gain.yaml"), design=tmp_path / "design.yaml")
    assert set(store.index["gain_r"].to_pylist()) == {40000.0}
    assert store.index["theta_e"].to_numpy().max() <= 1.1
    assert set(store.index["gain_source"].to_pylist()) == {"file"}


def test_a_part_at_a_time_gives_the_same_store(hosts, tmp_path):
    inject(hosts.table, hosts.store, tmp_path / "whole.zarr", per_host=3, workers=1, shard_rows=8)
    for part in ("2/3", "1/3", "3/3"):
        inject(hosts.table, hosts.store, tmp_path / "parts.zarr", per_host=3, workers=1, shard_rows=8, part=part)
    inject(hosts.table, hosts.store, tmp_path / "parts.zarr", per_host=3, workers=1, shard_rows=8, finish=True)
    assert not _differing(tmp_path / "whole.zarr", tmp_path / "parts.zarr")


def test_a_dry_run_counts_and_makes_nothing(hosts, tmp_path):
    receipt = inject(hosts.table, hosts.store, tmp_path / "i.zarr", per_host=5, dry_run=True)
    assert (receipt["rows"], receipt["hosts"]) == (60, 12)
    assert receipt["bytes"] == 60 * 101 * 101 * 3 * 4 * 2
    assert 0 <= receipt["hours"] < 0.1
    assert not (tmp_path / "i.zarr").exists()


def test_a_dry_run_says_how_long_it_takes_by_the_time_of_the_first_injections(hosts, tmp_path, monkeypatch):
    ticks = iter([100.0, 160.0])
    monkeypatch.setattr(preparing, "TIMED_ROWS", 3)
    monkeypatch.setattr(preparing, "CLOCK", Clock(lambda: next(ticks), lambda seconds: None))
    receipt = inject(hosts.table, hosts.store, tmp_path / "i.zarr", per_host=15, dry_run=True)
    assert receipt["hours"] == pytest.approx(180 * 20 / 3600)  # 60 seconds for 3 of 180


def with_column(rows: pa.Table, name: str, values: object) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index(name), name, pa.array(values, rows[name].type))


@pytest.mark.parametrize(
    ("spoil", "options", "message"),
    [
        (lambda r: with_column(r, "psfsize_r", [0.0] * 4), {}, "psfsize_r is missing, 0 or NaN for 4 of 4 hosts"),
        (
            lambda r: with_column(r, "psfsize_g", [float("nan"), 1.4, 1.4, 1.4]),
            {},
            "psfsize_g is missing, 0 or NaN for 1",
        ),
        (lambda r: r.drop_columns(["psfsize_z"]), {}, "psfsize_z"),
        (lambda r: with_column(r, "flux_r", [-1.0, 1, 1, 1]), {}, "flux_r is negative or NaN for 1 of 4 hosts"),
        (lambda r: with_column(r, "flux_g", [float("nan"), 1, 1, 1]), {}, "flux_g is negative or NaN"),
        (lambda r: with_column(r, "galaxy_id", ["x_1", "x_2", "x_3", "x_4"]), {}, "4 of 4 hosts of .* have no cutout"),
        (
            lambda r: with_column(r, "dec", [r["dec"][0].as_py() + 0.01, *r["dec"].to_pylist()[1:]]),
            {},
            "1 of 4 cutouts lie elsewhere than their row says",
        ),
        (lambda r: r, {"control": "nul"}, r"no control 'nul' \(did you mean 'null'\?\)"),
        (lambda r: r, {"vary": "psf"}, "no variation 'psf'"),
        (lambda r: r, {"noise": "loud"}, "--noise 'loud' does not exist"),
        (lambda r: r, {"source_model": "stamps"}, "--source-model stamps and --stamps FILE belong together"),
        (lambda r: r, {"per_host": 0}, "0 injections a host are none"),
        (lambda r: r, {"psf_beta": 0.9}, "a Moffat of beta 0.9 is no PSF"),
        (lambda r: r, {"psf": "planes"}, "has no psfsize planes"),
        (lambda r: r, {"psf": "none.npz"}, "no PSFs can be read"),
        (lambda r: r, {"part": "3/2"}, "'3/2' is not a part"),
    ],
)
def test_bad_input_is_refused_in_a_sentence_and_nothing_is_written(tmp_path, spoil, options, message):
    rows = rows_of(4)
    hosts = make_hosts(tmp_path / "h", rows=rows)
    write_table(spoil(rows), str(tmp_path / "spoiled.parquet"))
    with pytest.raises(InputError, match=message):
        inject(tmp_path / "spoiled.parquet", hosts.store, tmp_path / "i.zarr", workers=1, **options)
    assert not (tmp_path / "i.zarr").exists()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        ({"size": 61}, "cutouts of 61 px are too small"),
        ({"source": ["coadd", "viewer"] * 2}, "cutouts of several sources"),
        ({"layer": ["ls-dr9", "ls-dr10"] * 2}, "cutouts of several layers"),
    ],
)
def test_cutouts_unfit_for_injection_are_refused(tmp_path, make, message):
    hosts = make_hosts(tmp_path / "h", rows=rows_of(4), **make)
    with pytest.raises(InputError, match=message):
        inject(hosts.table, hosts.store, tmp_path / "i.zarr", workers=1)


def test_invvar_that_is_0_everywhere_is_refused(tmp_path, monkeypatch):
    images, weights = toy_hosts.pixels_of(rows_of(4), 101)
    monkeypatch.setattr(toy_hosts, "pixels_of", lambda rows, size: (images, 0 * weights))
    hosts = make_hosts(tmp_path / "h", rows=rows_of(4))
    with pytest.raises(InputError, match=r"hosts.zarr: invvar is nowhere above 0"):
        inject(hosts.table, hosts.store, tmp_path / "i.zarr", workers=1)


def test_the_sky_of_the_toys_is_the_planted_one(hosts, tmp_path):
    receipt = inject(hosts.table, hosts.store, tmp_path / "i.zarr", per_host=1, workers=1)
    assert list(receipt["sky_nanomaggy"].values()) == pytest.approx(SKY, rel=0.05)


def test_every_control_and_variation_is_in_the_help(lensctl):
    text = " ".join(lensctl("inject", "--help", env={**os.environ, "COLUMNS": "200"}).stdout.split())
    for name in (*CONTROLS, *VARIATIONS):
        assert name in text


def test_real_cutouts_of_the_service_tell_neither_psf_nor_noise_and_are_refused(real_data, tmp_path):
    pack(real_data / "dr10-cutouts", tmp_path / "real.zarr", workers=1)
    known = open_store(tmp_path / "real.zarr").index.select(["galaxy_id", "ra", "dec"])
    hosts = rows_of(known.num_rows)
    for name in known.column_names:
        hosts = hosts.set_column(hosts.schema.get_field_index(name), name, known[name])
    for lacking, message in (
        ("psfsize", "'psfsize_g', 'psfsize_r', 'psfsize_z' are missing"),
        ("psfdepth", "noise is unknown"),
    ):
        write_table(hosts.drop_columns([f"{lacking}_{band}" for band in "grz"]), str(tmp_path / f"{lacking}.parquet"))
        with pytest.raises(InputError, match=message):
            inject(tmp_path / f"{lacking}.parquet", tmp_path / "real.zarr", tmp_path / "i.zarr", workers=1)
    assert not (tmp_path / "i.zarr").exists()
