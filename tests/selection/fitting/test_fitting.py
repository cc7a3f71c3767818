"""`selection fit` from tables to a folder: what it writes, what it refuses, and the same bytes twice."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from lensctl.io.provenance.steps import chain_of
from lensctl.io.tables.files import read_table, write_table
from lensctl.rules import split
from lensctl.rules.errors import InputError
from lensctl.selection.fitting import frozen_model, measured
from lensctl.selection.loading import load_selection
from tests.toys import frozen as frozen_toy
from tests.toys.measured_injections import at, fitted, places
from tests.toys.reporters import Saying


def facts_of(folder):
    return json.loads((folder / "selection.json").read_text())


def test_the_folder_has_all_and_the_receipt_says_what_it_is(whole, toy):
    folder, receipt = whole
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    plots = ("map-p-0.5", "curves-p-0.5", "conditions", "score-shift", "controls", "closure")
    for_people = ("cells", "controls", "sensitivity", "closure", "failure_modes")
    tables = (*for_people, "injections", "hosts", "real", "draws", "closure_lenses")
    wanted = {f"plots/{plot}.{kind}" for plot in plots for kind in ("png", "pdf")}
    wanted |= {f"tables/{name}.parquet" for name in tables}
    wanted |= {f"tables/{name}.csv" for name in for_people} | {"plots/map-p-0.5.fits"}
    assert names == wanted | {"selection.json", "report.html", "evaluate.py", "golden.csv"}
    assert (receipt["command"], receipt["action"]) == ("selection", "fit")
    assert (receipt["injections"], receipt["usable"], receipt["hosts"]) == (3000, 3000, 600)
    (point,) = receipt["thresholds"]
    assert point["box_mean"] == pytest.approx(toy.made.detected.mean())
    assert receipt["model_digest"] == toy.facts["model_digest"]


def test_facts_name_the_model_the_thresholds_and_what_everything_rests_on(whole, toy):
    facts = facts_of(whole[0])
    assert facts["schema"] == "lensctl.selection/1"
    assert facts["model_digest"] == toy.facts["model_digest"]
    assert (facts["exploratory"], facts["left_out"]) == (False, [])
    (point,) = facts["thresholds"]
    assert (point["name"], point["logit"], point["hosts_above"]) == ("p=0.5", toy.level, 0)
    assert point["fit"]["detected"] == toy.made.detected.sum()
    assert facts["rows"] == {"injections": 3000, "hosts": 600, "per_host": 5, "usable": 3000, "lost": []}
    commands = [step["command"] for step in facts["provenance"]]
    assert commands[-1] == "selection fit"
    assert {"train", "freeze", "score"} <= set(commands)
    for name, about in facts["tables"].items():
        table = read_table(str(whole[0] / "tables" / f"{name}.parquet")) if name != "closure_lenses" else None
        if table is not None:
            assert table.num_rows == about["rows"]
            assert chain_of(table)[-1].command == "selection fit"


def test_apply_finds_p_det_and_what_assumptions_may_shift_it_by(whole, toy):
    selection = load_selection(whole[0], None).selection
    found = selection.predictor.predict(toy.made.values)
    assert np.abs(found.p - toy.made.p).mean() < 0.05
    shift = facts_of(whole[0])["systematic_logit_shift"]["p=0.5"]
    assert shift > 0.1
    np.testing.assert_allclose(selection.systematic(toy.made.values), found.p * (1 - found.p) * shift)
    assert selection.injections.detected.sum() == toy.made.detected.sum()


def test_a_control_without_an_arc_detects_nothing_and_null_changes_no_logit(whole):
    rows = {row["control"]: row for row in read_table(str(whole[0] / "tables/controls.parquet")).to_pylist()}
    assert {name: (row["n"], row["detected"], row["lost"]) for name, row in rows.items()} == {
        "null": (3000, 0, 0),
        "noise": (3000, 0, 0),
    }
    assert rows["null"]["most_from_host"] == 0.0
    assert rows["noise"]["most_from_host"] == pytest.approx(0.01)
    assert rows["null"]["difference_high"] < -0.3
    assert rows["null"]["p_high"] < 0.01


def test_a_variation_is_paired_and_families_of_sources_lie_apart(whole):
    rows = {row["vary"]: row for row in read_table(str(whole[0] / "tables/sensitivity.parquet")).to_pylist()}
    assert set(rows) == {"psf-beta-2.2", "source_model=clumpy", "source_model=sersic"}
    assert rows["psf-beta-2.2"]["shift"] == pytest.approx(
        rows["psf-beta-2.2"]["p_varied"] - rows["psf-beta-2.2"]["p_standard"]
    )
    assert rows["psf-beta-2.2"]["shift_low"] > 0
    assert rows["source_model=clumpy"]["shift_low"] < 0 < rows["source_model=clumpy"]["shift_high"]


def test_honest_lenses_close(whole):
    table = read_table(str(whole[0] / "tables/closure.parquet")).to_pylist()
    rows = {row["lenses"]: row for row in table}
    both = rows["A+B"]
    assert both["n"] + both["outside"] + both["unobserved"] == 300
    assert abs(both["difference"]) < 3 * both["standard_error"]
    assert both["difference"] == pytest.approx(both["recall"] - both["p_mean"])
    assert rows["A"]["n"] + rows["B"]["n"] == both["n"]
    halves = [row["n"] for name, row in rows.items() if "median" in name]
    assert abs(halves[0] - halves[1]) <= 1
    lenses = read_table(str(whole[0] / "tables/closure_lenses.parquet"))
    inside = np.array(lenses["inside"].to_pylist())
    assert np.mean(np.array(lenses["p_det"].to_pylist(), float)[inside]) == pytest.approx(both["p_mean"])


def test_the_golden_rows_are_those_of_evaluate_py(whole, tmp_path):
    for name in ("evaluate.py", "golden.csv"):
        shutil.copy(whole[0] / name, tmp_path)
    code = (
        "import csv, numpy as np, evaluate\n"
        "rows = list(csv.DictReader(open('golden.csv')))\n"
        "given = {a['name']: [float(r[a['name']]) for r in rows] for a in evaluate.axes()}\n"
        "print(np.abs(evaluate.predict(**given)['p_det'] - [float(r['p_det']) for r in rows]).max())"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert float(ran.stdout) < 1e-6


def test_the_same_inputs_give_the_same_bytes(tables, model, tmp_path):
    for name in ("one", "two"):
        fitted(tables, tmp_path / name, model)
    one, two = ({p.relative_to(tmp_path / n): p.read_bytes() for p in (tmp_path / n).rglob("*") if p.is_file()}
                for n in ("one", "two"))  # fmt: skip
    assert one == two
    assert "plots/closure.png" not in {str(path) for path in one}


def test_the_order_of_rows_changes_nothing(tables, toy, model, tmp_path):
    fitted(tables, tmp_path / "one", model)
    random = np.random.default_rng(0)
    for name in ("injections", "hosts"):
        table = read_table(str(tables / f"{name}.parquet"))
        write_table(table.take(pa.array(random.permutation(table.num_rows))), str(tmp_path / f"{name}.parquet"))
    half = read_table(str(tmp_path / "injections.parquet"))
    for number, (start, stop) in enumerate(((0, 1000), (1000, 3000))):
        write_table(half.slice(start, stop - start), str(tmp_path / f"part{number}.parquet"))
    fitted(tmp_path, tmp_path / "two", model, injections=[tmp_path / "part0.parquet", tmp_path / "part1.parquet"])
    one, two = (facts_of(tmp_path / name) for name in ("one", "two"))
    assert one["models"] == two["models"]
    assert one["tables"]["injections"] == two["tables"]["injections"]


def test_hosts_above_the_threshold_are_left_out_and_counted(tables, toy, model, tmp_path):
    hosts = toy.host_columns()
    hosts["logit"] = np.where(np.arange(600) < 30, toy.level, toy.logit_host)
    write_table(toy.stamped(hosts), str(tmp_path / "hosts.parquet"))
    fitted(tables, tmp_path / "out", model, hosts=tmp_path / "hosts.parquet")
    (point,) = facts_of(tmp_path / "out")["thresholds"]
    assert (point["hosts_above"], point["injections_of_hosts_above"], point["fit"]["rows"]) == (30, 150, 2850)
    kept = read_table(str(tmp_path / "out" / "tables/injections.parquet"))
    assert kept.num_rows == 3000, "apply decides at its own threshold"
    assert load_selection(tmp_path / "out", None).selection.injections.detected.size == 2850


def test_rows_without_a_score_are_counted_by_reason_and_add_up(tables, toy, model, tmp_path):
    columns = toy.injection_columns()
    logit, ok, colour = columns["logit"].copy(), columns["cutout_ok"].copy(), columns["delta_g_minus_r"].copy()
    ok[:5], logit[:5] = False, np.nan
    logit[5:8] = np.nan
    colour[10] = np.nan
    columns |= {"logit": pa.array(logit, from_pandas=True), "cutout_ok": ok, "delta_g_minus_r": colour}
    write_table(toy.stamped(columns), str(tmp_path / "injections.parquet"))
    said = Saying()
    receipt = fitted(tables, tmp_path / "out", model, injections=tmp_path / "injections.parquet", report=said)
    assert (receipt["injections"], receipt["usable"]) == (3000, 2991)
    lost = {row["reason"]: (row["rows"], row["hosts"]) for row in facts_of(tmp_path / "out")["rows"]["lost"]}
    assert lost == {"no good cutout": (5, 1), "pixels that are no numbers": (3, 1), "no delta_g_minus_r": (1, 1)}
    assert read_table(str(tmp_path / "out" / "tables/failures.parquet")).num_rows == 3


def test_a_model_that_does_not_verify_is_refused(tables, model, tmp_path):
    shutil.copytree(model, tmp_path / "touched")
    frozen_toy.flip(tmp_path / "touched" / "thresholds.json", 60, 1)
    with pytest.raises(InputError, match="touched: verification failed"):
        fitted(tables, tmp_path / "out", tmp_path / "touched")
    with pytest.raises(InputError, match="not a frozen model"):
        fitted(tables, tmp_path / "out", tables)


def test_thresholds_are_the_frozen_ones_unless_it_is_said_that_they_are_not(tables, model, tmp_path):
    with pytest.raises(InputError, match=r"frozen has no threshold 'p=0.6' \(did you mean 'p=0.5'\?\)"):
        fitted(tables, tmp_path / "out", model, threshold=["p=0.6"])
    with pytest.raises(InputError, match=r"--threshold logit=0.3 is none of the frozen ones: p=0.5"):
        fitted(tables, tmp_path / "out", model, threshold=["logit=0.3"])
    fitted(tables, tmp_path / "out", model, threshold=["logit=0.3"], exploratory=True)
    facts = facts_of(tmp_path / "out")
    assert facts["exploratory"] is True
    assert facts["note"].startswith("Exploratory: a threshold was chosen after the model was frozen.")
    assert facts["thresholds"][0]["logit"] == 0.3
    assert "Exploratory" in (tmp_path / "out" / "evaluate.py").read_text()
    chain = chain_of(read_table(str(tmp_path / "out" / "tables/cells.parquet")))
    assert chain[-1].parameters["exploratory"] is True


def test_all_thresholds_with_a_value_are_fitted_and_those_without_a_fit_say_why(tables, toy, model, tmp_path):
    columns = toy.injection_columns()
    low = toy.points["above all non-lenses"]
    columns["logit"] = np.where(toy.made.detected, toy.logit, low + 0.01)
    write_table(toy.stamped(columns), str(tmp_path / "injections.parquet"))
    fitted(tables, tmp_path / "out", model, injections=tmp_path / "injections.parquet", threshold=())
    facts = facts_of(tmp_path / "out")
    assert [point["name"] for point in facts["thresholds"]] == ["p=0.5"]
    assert [each["name"] for each in facts["left_out"]] == ["above all non-lenses"]
    assert "0 of 3000 injections were missed" in facts["left_out"][0]["why"]


def test_hosts_that_the_manifest_has_in_train_are_refused_by_id(tables, toy, model, tmp_path):
    rows = pa.table({"galaxy_id": ["host_3", "a", "host_4"], "split": ["train", "train", "test"]})
    write_table(rows, str(tmp_path / "manifest.parquet"))
    with pytest.raises(InputError, match=r"1 hosts are in train or val of .*manifest.parquet, such as host_3"):
        fitted(tables, tmp_path / "out", model, manifest=tmp_path / "manifest.parquet")
    write_table(rows.slice(1), str(tmp_path / "manifest.parquet"), overwrite=True)
    fitted(tables, tmp_path / "out", model, manifest=tmp_path / "manifest.parquet")


def test_real_lenses_are_those_of_the_test_split(tables, toy, model, tmp_path):
    columns = toy.real_columns()
    names = [*columns["galaxy_id"]]
    some = columns | {"split": at(columns["split"], 4, "val")}
    write_table(toy.stamped(some), str(tmp_path / "real.parquet"))
    fitted(tables, tmp_path / "out", model, real=tmp_path / "real.parquet")
    kept = read_table(str(tmp_path / "out/tables/real.parquet"))["galaxy_id"].to_pylist()
    assert sorted(kept) == sorted(names[:4] + names[5:])
    pixels = np.arange(12 * split.NSIDE**2)
    taught = int(pixels[split.splits_of(pixels) == "train"][0])
    moved = columns | {"healpix_128": at(columns["healpix_128"], 4, taught)}
    write_table(toy.stamped(moved), str(tmp_path / "real.parquet"), overwrite=True)
    with pytest.raises(InputError, match="1 lenses lie outside the test split of the model, such as lens_4"):
        fitted(tables, tmp_path / "out2", model, real=tmp_path / "real.parquet")
    none = columns | {"split": ["val"] * len(names)}
    write_table(toy.stamped(none), str(tmp_path / "real.parquet"), overwrite=True)
    with pytest.raises(InputError, match="no lens of tier A or B of the test split has a score"):
        fitted(tables, tmp_path / "out2", model, real=tmp_path / "real.parquet")


def test_controls_of_another_draw_are_refused(tables, toy, model, tmp_path):
    columns = toy.injection_columns(control="grey")
    for change, message in (
        ({"lens_phi": columns["lens_phi"] + 1}, "lens_phi is not that of the injections it should be paired with"),
        ({"control": ["grey"] * 2999 + ["null"]}, "its rows are of control grey, null"),
        ({"galaxy_id": [f"x_{i}" for i in range(3000)]}, "no row is of a host and number of the injections"),
    ):
        write_table(toy.stamped(columns | change), str(tmp_path / "grey.parquet"), overwrite=True)
        with pytest.raises(InputError, match=message):
            fitted(tables, tmp_path / "out", model, control=tmp_path / "grey.parquet")


@pytest.fixture(scope="module")
def other_hosts(toy, tmp_path_factory):
    """A folder with the control wrong-host, and scores of its hosts: of each tenth above the threshold."""
    folder = tmp_path_factory.mktemp("wrong")
    hosts = toy.host_columns()
    names = {id: f"other_{id}" for id in hosts["galaxy_id"]}
    hosts["galaxy_id"] = list(names.values())
    hosts["logit"] = np.where(np.arange(len(names)) % 10 == 0, toy.level + 1, toy.level - 3)
    wrong = toy.injection_columns(control="wrong-host")
    wrong["galaxy_id"] = [f"other_{id}" for id in wrong["galaxy_id"]]
    wrong["host_id"] = [names[id] for id in wrong["host_id"]]
    toy.write(folder, wrong=toy.stamped(wrong), others=toy.stamped(hosts))
    return folder


def test_of_other_hosts_those_found_without_an_arc_are_taken_out(tables, other_hosts, model, tmp_path):
    given = {"control": other_hosts / "wrong.parquet", "control_hosts": other_hosts / "others.parquet"}
    fitted(tables, tmp_path / "out", model, **given)
    (row,) = read_table(str(tmp_path / "out/tables/controls.parquet")).to_pylist()
    assert (row["control"], row["n"], row["lost"]) == ("wrong-host", 2700, 0)
    assert row["p_unchanged"] is None
    assert row["most_from_host"] > 0


def test_other_hosts_need_scores_and_lie_in_the_test_split(tables, other_hosts, toy, model, tmp_path):
    control = {"control": other_hosts / "wrong.parquet"}
    with pytest.raises(InputError, match="hosts of control wrong-host have no scores") as error:
        fitted(tables, tmp_path / "out", model, **control)
    assert "--control-hosts" in error.value.fix
    with pytest.raises(InputError, match="600 hosts are not in .*hosts.parquet, such as other_host_0"):
        fitted(tables, tmp_path / "out", model, **control, control_hosts=tables / "hosts.parquet")
    ra, dec, pixel = places(600, 10, "train")
    taught = toy.host_columns() | {"ra": ra, "dec": dec, "healpix_128": pixel}
    write_table(toy.stamped(taught), str(tmp_path / "taught.parquet"))
    with pytest.raises(InputError, match="taught.parquet: 600 of 600 hosts lie outside the test split of the model"):
        fitted(tables, tmp_path / "out", model, **control, control_hosts=tmp_path / "taught.parquet")


def test_an_existing_folder_is_refused_and_few_rounds_are(tables, model, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="exists"):
        fitted(tables, tmp_path / "out", model)
    with pytest.raises(InputError, match="--rounds 20 are too few"):
        fitted(tables, tmp_path / "new", model, rounds=20)


def test_a_threshold_of_a_rate_has_an_interval_and_one_of_p_has_none():
    others = np.sort(np.random.default_rng(0).normal(size=1000))[::-1]
    point = {"name": "fpr=0.01", "target_fpr": 0.01, "logit": float(others[9])}
    found = frozen_model._threshold(point, others)
    assert found.low < found.logit < found.high
    assert 4 <= (others >= found.high).sum() <= 5
    assert 16 <= (others >= found.low).sum() <= 18
    assert frozen_model._threshold({**point, "name": "p=0.5", "target_fpr": None}, others).low is None
    above = frozen_model._threshold({"name": "above all non-lenses", "target_fpr": None, "logit": 9.0}, others)
    assert (above.high, (others >= above.low).sum()) == (None, 4)


def test_lenses_without_a_magnitude_get_it_from_their_flux(tables, toy, model, tmp_path, whole):
    columns = toy.real_columns()
    flux = 10 ** (0.4 * (22.5 - columns.pop("mag_z")))
    write_table(toy.stamped(columns | {"flux_z": flux}), str(tmp_path / "real.parquet"))
    fitted(tables, tmp_path / "out", model, real=tmp_path / "real.parquet")
    ours, theirs = (read_table(str(folder / "tables/closure.parquet")) for folder in (tmp_path / "out", whole[0]))
    np.testing.assert_allclose(ours["p_mean"].to_numpy(), theirs["p_mean"].to_numpy(), atol=1e-4)


def test_fits_of_several_thresholds_may_have_other_numbers_of_coefficients():
    fits = [
        SimpleNamespace(threshold=SimpleNamespace(name=str(width)), draws=np.arange(3.0 * width).reshape(3, width))
        for width in (4, 5)
    ]
    table = pa.concat_tables([measured._draws(fit) for fit in fits])
    assert table["coefficients"].to_pylist()[4] == [5.0, 6.0, 7.0, 8.0, 9.0]
    assert table["round"].to_pylist() == [0, 1, 2, 0, 1, 2]
