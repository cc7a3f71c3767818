"""The manifest: every row once, labelled and weighted; shared sky and lonely strata left out and counted."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from lensctl.io.cutouts import npz
from lensctl.io.provenance.steps import Step, chain_of, stamp
from lensctl.manifest import manifest
from lensctl.manifest.joining import columns_of, join
from lensctl.pack import pack
from lensctl.rules import split
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from tests.toys import catalogs as toys
from tests.toys.manifests import border, without_empty_columns
from tests.toys.surveys import INFRARED, ONE_BAND

POSITIVES = toys.positives(40, width_deg=8.0)
NEGATIVES = (
    toys.pool(600, width_deg=8.0)
    .append_column("sampling_weight", pa.array([2.0] * toys.pool(600).num_rows))
    .sort_by("galaxy_id")
)


def make(positives=POSITIVES, negatives=NEGATIVES, **options):
    cut = {"positive_cutouts": toys.listing(positives), "negative_cutouts": toys.listing(negatives)} | options.pop(
        "cutouts", {}
    )
    return join(positives, cut["positive_cutouts"], negatives, cut["negative_cutouts"], **options)


def put(table, name, row, value):
    values = table[name].to_pylist()
    values[row] = value
    return table.set_column(table.column_names.index(name), name, pa.array(values, table[name].type))


def test_columns_labels_tiers_and_weights():
    rows = make().rows
    assert rows.column_names == list(columns_of(LS_DR10))
    assert rows["galaxy_id"].to_pylist() == sorted(rows["galaxy_id"].to_pylist())
    seen = {(r["label"], r["tier"], r["sample_weight"]) for r in rows.to_pylist()}
    assert seen == {(1, "A", 1.0), (1, "B", 0.5), (0, "N1", 1.0), (0, "N2", 1.0)}
    assert set(rows.filter(pc.equal(rows["label"], 1))["sampling_weight"].to_pylist()) == {None}


def test_each_row_points_to_its_own_cutout():
    shuffled = toys.listing(NEGATIVES).take(pa.array(range(NEGATIVES.num_rows - 1, -1, -1)))
    rows = make(cutouts={"negative_cutouts": shuffled}).rows
    place = dict(zip(shuffled["galaxy_id"].to_pylist(), shuffled["cutout_index"].to_pylist(), strict=True))
    negatives = rows.filter(pc.equal(rows["label"], 0))
    assert [place[g] for g in negatives["galaxy_id"].to_pylist()] == negatives["cutout_index"].to_pylist()


def test_positives_of_a_stratum_without_negatives_are_left_out_and_counted():
    lonely = put(POSITIVES, "type", 3, "EXP")
    made = make(positives=lonely)
    assert made.left_out["positives without a negative stratum"] == 1
    assert "EXP" not in made.rows["type"].to_pylist()
    assert "EXP" in make(positives=lonely, keep_unstratified=True).rows["type"].to_pylist()


def neighbours(split_of_negative, dec_offset_arcsec):
    """A negative moved next to the first positive."""
    near = put(NEGATIVES, "ra", 5, POSITIVES["ra"][0].as_py())
    near = put(near, "dec", 5, POSITIVES["dec"][0].as_py() + dec_offset_arcsec / 3600)
    return toys.in_bricks(put(near, "split", 5, split_of_negative)), near["galaxy_id"][5].as_py()


@pytest.mark.parametrize(("offset", "dropped"), [(20.0, True), (26.0, True), (27.0, False)])
def test_of_two_cutouts_that_share_sky_across_splits_the_negative_goes(offset, dropped):
    other = "val" if POSITIVES["split"][0].as_py() != "val" else "test"
    negatives, lost = neighbours(other, offset)
    made = make(negatives=negatives)
    assert (lost not in made.rows["galaxy_id"].to_pylist()) == dropped
    assert POSITIVES["galaxy_id"][0].as_py() in made.rows["galaxy_id"].to_pylist()
    assert sum(v for k, v in made.left_out.items() if "shares sky" in k) >= int(dropped)


def test_within_one_split_both_stay():
    negatives, kept = neighbours(POSITIVES["split"][0].as_py(), 20.0)
    assert kept in make(negatives=negatives).rows["galaxy_id"].to_pylist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"negatives": put(NEGATIVES, "split", 0, None)}, "negatives: column 'split' is null or NaN in 1 rows"),
        (
            {"negatives": put(NEGATIVES, "galaxy_id", 0, NEGATIVES["galaxy_id"][1].as_py())},
            "occur in more than one row",
        ),
        (
            {"positives": put(POSITIVES, "galaxy_id", 0, NEGATIVES["galaxy_id"][1].as_py())},
            "1 galaxies are both positives and negatives",
        ),
        (
            {"positives": put(POSITIVES, "ra", 0, 13.4)},
            "positives: 1 of 40 positions are not in the brick they name: row 0 is at ra 13.4",
        ),
        ({"positives": POSITIVES.drop_columns(["tier"])}, "column 'tier' is missing"),
        ({"cutouts": {"negative_cutouts": toys.listing(NEGATIVES.slice(1))}}, "negatives: 1 rows have no cutout"),
        (
            {"cutouts": {"negative_cutouts": put(toys.listing(NEGATIVES), "dec", 5, 2.1 + 6 / 3600)}},
            f"negatives and their cutouts: 1 of {NEGATIVES.num_rows} cutouts lie elsewhere than their row says",
        ),
    ],
)
def test_what_does_not_fit_is_an_error(options, message):
    with pytest.raises(InputError, match=message):
        make(**options)


def test_columns_of_another_survey_have_its_roles():
    names = columns_of(INFRARED)
    for name in ("nobs_H_bin", "psfsize_H", "psfdepth_H", "flux_VIS", "flux_H", "VIS_minus_Y", "Y_minus_H", "nobs_H"):
        assert name in names
    assert len(columns_of(ONE_BAND)) == len(set(columns_of(ONE_BAND))), "one band plays several roles once"
    assert len(names) == len(columns_of(LS_DR10))


def test_cutouts_share_sky_by_their_own_size():
    positives, negatives = POSITIVES, NEGATIVES
    i = next(i for i, s in enumerate(negatives["split"].to_pylist()) if s != positives["split"][0].as_py())
    for name, shift in (("ra", 0.0), ("dec", 20.0 / 3600)):
        negatives = put(negatives, name, i, positives[name][0].as_py() + shift)
    negatives = toys.in_bricks(negatives)
    for survey, lost in ((LS_DR10, 1), (dataclasses.replace(LS_DR10, cutout_size_px=64), 0)):
        left_out = make(positives, negatives, survey=survey).left_out
        assert sum(n for why, n in left_out.items() if "shares sky" in why) == lost
    left_out = make(positives, negatives, sizes_arcsec=(19.9, 19.9)).left_out
    assert not any("shares" in why for why in left_out)


def placed(table, row, other, arcsec):
    """The table with a row so far north of a row of another table, in its split and stratum."""
    for name in ("ra", "split", "healpix_128", "type", "nobs_z_bin"):
        table = put(table, name, row, other[name][0].as_py())
    return toys.in_bricks(put(table, "dec", row, other["dec"][0].as_py() + arcsec / 3600))


def ids_of(made):
    return set(made.rows["galaxy_id"].to_pylist())


@pytest.mark.parametrize(("arcsec", "dropped"), [(0.0, 1), (0.99, 1), (1.01, 0)])
def test_a_lens_under_a_second_id_is_no_negative(arcsec, dropped):
    negatives = placed(NEGATIVES, 7, POSITIVES.slice(3, 1), arcsec)
    made = make(negatives=negatives)
    assert made.left_out["negatives, same object as another row, within 1 arcsec"] == dropped
    assert (negatives["galaxy_id"][7].as_py() in ids_of(made)) == (not dropped)
    assert POSITIVES["galaxy_id"][3].as_py() in ids_of(made)


def test_a_lens_that_is_left_out_itself_is_no_negative_either():
    positives = put(POSITIVES, "type", 3, "EXP")
    negatives = placed(NEGATIVES, 7, POSITIVES.slice(3, 1), 0.5)
    made = make(positives, negatives)
    assert not {positives["galaxy_id"][3].as_py(), negatives["galaxy_id"][7].as_py()} & ids_of(made)


def in_a_row(rows):
    """Negatives of which some are 0.8 arcsec apart, one north of the other, and their ids."""
    negatives, anchor = NEGATIVES, NEGATIVES.slice(100, 1)
    for k, row in enumerate(rows):
        negatives = placed(negatives, row, anchor, 20 + 0.8 * k)
    return negatives, [negatives["galaxy_id"][row].as_py() for row in rows]


def drawn_first(ids, seed):
    return min(ids, key=lambda id: hashlib.md5(f"{seed}:{id}".encode()).hexdigest())


@pytest.mark.parametrize("seed", range(6))
def test_of_two_negatives_that_are_one_object_the_first_of_the_sampling_order_stays(seed):
    negatives, ids = in_a_row((7, 30))
    assert {drawn_first(ids, k) for k in range(6)} == set(ids)
    assert ids_of(make(negatives=negatives, seed=seed)) & set(ids) == {drawn_first(ids, seed)}


@pytest.mark.parametrize("middle_first", [True, False])
def test_of_three_in_a_row_the_ends_are_two_objects_unless_the_middle_one_is_drawn_first(middle_first):
    negatives, ids = in_a_row((7, 30, 200))
    seed = next(k for k in range(99) if (drawn_first(ids, k) == ids[1]) == middle_first)
    first = drawn_first(ids, seed)
    expected = {first} if first == ids[1] else {ids[0], ids[2]}
    made = make(negatives=negatives, seed=seed)
    assert ids_of(made) & set(ids) == expected
    assert made.left_out["negatives, same object as another row, within 1 arcsec"] == 3 - len(expected)
    turned = negatives.take(pa.array(range(negatives.num_rows)[::-1]))
    assert ids_of(make(negatives=turned, seed=seed)) == ids_of(made)


@pytest.mark.parametrize("seed", range(6))
def test_of_lenses_that_are_one_object_tier_a_stays_and_keeps_both_catalogues(seed):
    tiers = POSITIVES["tier"].to_pylist()
    a, b = tiers.index("A"), tiers.index("B")
    positives = placed(put(put(POSITIVES, "ref", a, "one"), "ref", b, "two|one"), b, POSITIVES.slice(a, 1), 0.5)
    made = make(positives, seed=seed)
    assert made.left_out["positives, same object as another row, within 1 arcsec"] == 1
    kept = next(r for r in made.rows.to_pylist() if r["galaxy_id"] == positives["galaxy_id"][a].as_py())
    assert (kept["tier"], kept["ref"]) == ("A", "one|two")
    assert positives["galaxy_id"][b].as_py() not in ids_of(made)


def files_of(folder, table, pixels, bands=3):
    """A folder of .npz, one for each row of a table, and the table beside it."""
    folder.mkdir()
    pq.write_table(table, f"{folder}.parquet")
    for id, ra, dec in zip(*(table[name].to_pylist() for name in ("galaxy_id", "ra", "dec")), strict=True):
        meta = {"meta_galaxy_id": np.array(id), "meta_ra": np.array(ra), "meta_dec": np.array(dec)}
        npz.write_npz(folder / f"{id}.npz", np.full((pixels, pixels, bands), 0.1, np.float32), meta)
    return f"{folder}.parquet", folder


def across_a_border():
    """A positive, and a negative 40 arcsec from it in another split."""
    ra, dec1, dec2 = border()
    places = {"ra": [ra, ra], "dec": [dec1 - 19 / 3600, dec2 + 19 / 3600]}
    pixel = split.healpix(places["ra"], places["dec"])
    names = split.splits_of(pixel).tolist()
    pair = []
    for table, i in ((POSITIVES, 0), (NEGATIVES, 1)):
        kind = {"type": pa.array(["REX"]), "nobs_z_bin": pa.array(["3-5"]), "healpix_128": pa.array([pixel[i]])}
        moved = {**kind, "split": pa.array([names[i]]), **{axis: pa.array([places[axis][i]]) for axis in places}}
        row = table.slice(0, 1)
        for name, values in moved.items():
            row = row.set_column(row.column_names.index(name), name, values)
        pair.append(toys.in_bricks(row))
    return pair


@pytest.mark.parametrize(("pixels", "left"), [(101, 0), (256, 1)])
def test_how_much_sky_a_cutout_covers_is_read_from_the_cutouts(tmp_path, pixels, left):
    positives, negatives = across_a_border()
    made = manifest(
        tmp_path / "m.parquet",
        positives=files_of(tmp_path / "pos", positives, pixels),
        negatives=files_of(tmp_path / "neg", negatives, pixels),
    )
    assert made["left_out"] == left
    step = chain_of(pq.read_table(tmp_path / "m.parquet"))[-1]
    assert step.parameters["cutout_arcsec"] == pytest.approx(pixels * 0.262)


@pytest.mark.parametrize("bands", [1, 4])
def test_cutouts_of_other_bands_are_refused_unless_their_survey_is_named(tmp_path, bands):
    positives, negatives = across_a_border()
    pair = {
        "positives": files_of(tmp_path / "pos", positives, 20, bands),
        "negatives": files_of(tmp_path / "neg", negatives, 20, bands),
    }
    with pytest.raises(InputError, match=f"pos: {bands} bands, survey ls-dr10 has g, r, z"):
        manifest(tmp_path / "m.parquet", **pair)
    assert not (tmp_path / "m.parquet").exists()
    if bands == 4:
        assert manifest(tmp_path / "m.parquet", survey="ls-dr10-griz", **pair)["rows"] == 2


class Said:
    """Keeps what a command says."""

    def __init__(self):
        self.lines = []

    def say(self, text):
        self.lines.append(text)


def pair_of(folder, sizes=(101, 101)):
    positives, negatives = across_a_border()
    return {
        "positives": files_of(folder / "pos", positives, sizes[0]),
        "negatives": files_of(folder / "neg", negatives, sizes[1]),
    }


def test_objects_under_two_ids_are_counted_for_all_to_see(tmp_path):
    positives, negatives = across_a_border()
    negatives = placed(negatives, 0, positives, 0.4)
    pair = {
        "positives": files_of(tmp_path / "pos", positives, 20),
        "negatives": files_of(tmp_path / "neg", negatives, 20),
    }
    said = Said()
    made = manifest(tmp_path / "m.parquet", **pair, keep_unstratified=True, report=said)
    assert (made["rows"], made["left_out"], made["same_object"]) == (1, 1, 1)
    assert said.lines == ["left out: 1 negatives, same object as another row, within 1 arcsec"]


def test_the_sampling_order_is_that_by_which_the_negatives_were_drawn(tmp_path):
    negatives, ids = in_a_row((7, 30))
    seed = next(k for k in range(99) if drawn_first(ids, k) != drawn_first(ids, 42))
    two = negatives.filter(pc.is_in(negatives["galaxy_id"], pa.array(ids)))
    positives = files_of(tmp_path / "pos", POSITIVES.slice(0, 1), 9)
    for name, step, kept in (("none", (), 42), ("drawn", (Step("sample", {"seed": seed}),), seed)):
        pair = {"positives": positives, "negatives": files_of(tmp_path / name, stamp(two, step), 9)}
        manifest(tmp_path / f"{name}.m.parquet", **pair, keep_unstratified=True)
        made = pq.read_table(tmp_path / f"{name}.m.parquet")["galaxy_id"].to_pylist()
        assert set(made) & set(ids) == {drawn_first(ids, kept)}


def test_each_class_has_the_size_of_its_own_cutouts(tmp_path):
    """A positive of 256 px and a negative of 64, 40 arcsec apart in two splits: (67 + 17) / 2 = 42 arcsec."""
    said = Said()
    made = manifest(tmp_path / "m.parquet", **pair_of(tmp_path, (256, 64)), report=said)
    assert made["left_out"] == 1
    assert said.lines[0].startswith("warning: positives were cut at 256 px of unknown arcsec, negatives at 64 px")
    step = chain_of(pq.read_table(tmp_path / "m.parquet"))[-1]
    sides = step.parameters["cutout_arcsec_by_class"]
    assert sides == {"positives": pytest.approx(67.072), "negatives": pytest.approx(16.768)}
    assert step.parameters["cutout_arcsec"] == pytest.approx(67.072)
    (tmp_path / "less").mkdir()
    assert manifest(tmp_path / "less/m.parquet", **pair_of(tmp_path / "less", (230, 64)))["left_out"] == 0


def test_a_store_that_says_nothing_of_empty_pixels_is_taken_with_a_warning(tmp_path):
    pair = pair_of(tmp_path)
    for name in ("pos", "neg"):
        pack(tmp_path / name, tmp_path / f"{name}.zarr", workers=1)
    without_empty_columns(tmp_path / "pos.zarr")
    stores = {name: (table, f"{folder}.zarr") for name, (table, folder) in pair.items()}
    said = Said()
    assert manifest(tmp_path / "m.parquet", **stores, report=said)["rows"] == 2
    warnings = [line for line in said.lines if line.startswith("warning")]
    assert len(warnings) == 1
    assert warnings[0].startswith(f"warning: {tmp_path}/pos.zarr does not say which cutouts are half empty")


def test_half_empty_files_are_not_used_unless_so_much_may_be_empty(tmp_path):
    pair = pair_of(tmp_path)
    file = next((tmp_path / "neg").iterdir())
    found = npz.read_npz(file)
    pixels = found.cutout.copy()
    pixels[18:28] = 0.0
    file.unlink()
    npz.write_npz(file, pixels, found.meta)
    assert manifest(tmp_path / "m.parquet", **pair)["cutouts_not_ok"] == 1
    assert manifest(tmp_path / "n.parquet", **pair, max_empty=0.2)["cutouts_not_ok"] == 0


def test_hard_negatives_are_carried_with_their_round_and_a_uniform_draw_with_its_tier():
    positives, negatives = toys.positives(30), toys.pool(400)
    drawn = toys.pool(400, seed=7, ra=170.0)
    train = drawn.filter(pc.equal(drawn["split"], "train"))
    mined = train.append_column("mined", pa.array(["hard 1"] * train.num_rows))
    both = pa.concat_tables([negatives, mined], promote_options="permissive")
    uniform = both.append_column("tier", pa.array(["N0" if k < 3 else None for k in range(both.num_rows)]))
    cutouts = (toys.listing(positives), toys.listing(both))
    made = join(positives, cutouts[0], uniform, cutouts[1]).rows
    rounds = dict(zip(made["galaxy_id"].to_pylist(), made["mined"].to_pylist(), strict=True))
    kept = set(made["galaxy_id"].to_pylist())
    assert {name for name, text in rounds.items() if text} == set(mined["galaxy_id"].to_pylist()) & kept
    tiers = dict(zip(made["galaxy_id"].to_pylist(), made["tier"].to_pylist(), strict=True))
    names = both["galaxy_id"].to_pylist()
    assert {tiers[name] for name in names[:3] if name in kept} == {"N0"}
    assert {tiers[name] for name in names[3:] if name in kept} <= {"N1", "N2"}
    plain = join(positives, cutouts[0], negatives, toys.listing(negatives)).rows
    assert "mined" not in plain.column_names


def test_a_hard_negative_outside_train_is_refused():
    positives, negatives = toys.positives(30), toys.pool(400)
    mined = negatives.append_column("mined", pa.array(["hard 1"] * negatives.num_rows))
    with pytest.raises(InputError, match=r"\d+ hard negatives are not of split train, such as"):
        join(positives, toys.listing(positives), mined, toys.listing(mined))
