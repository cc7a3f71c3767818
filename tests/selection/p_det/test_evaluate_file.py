"""evaluate.py and golden.csv: a stranger with numpy alone gets the same p_det."""

from __future__ import annotations

import csv
import subprocess
import sys

import numpy as np
import pytest

from lensctl.rules.survey import LS_DR10
from lensctl.selection.p_det import detection, evaluate_file, standalone
from lensctl.selection.p_det.axes import physical_axes
from lensctl.stats.fits import splines
from tests.toys import known_detection

AXES = physical_axes(LS_DR10)
NAMES = [axis.name for axis in AXES]

STRANGER = """
import sys
class NumpyAlone:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("lensctl", "scipy", "pyarrow", "sklearn", "astropy", "pandas", "matplotlib"):
            raise ImportError(f"a stranger has no {name}")
sys.meta_path.insert(0, NumpyAlone())
import csv
import numpy as np
import evaluate
worst, seen = 0.0, set()
with open("golden.csv") as file:
    rows = list(csv.DictReader(file))
for threshold in evaluate.thresholds():
    own = [row for row in rows if row["threshold"] == threshold]
    given = {axis["name"]: np.array([float(row[axis["name"]]) for row in own]) for axis in evaluate.axes()}
    found = evaluate.predict(threshold, **given)
    for name in ("p_det", "p_low", "p_high"):
        worst = max(worst, np.abs(found[name] - [float(row[name]) for row in own]).max())
    assert [str(one).lower() for one in found["inside"]] == [row["inside"] for row in own]
    seen |= set(found["inside"].tolist())
print(worst, sorted(seen), len(rows))
"""


@pytest.fixture(scope="module")
def made():
    return known_detection.injections(2, hosts=600, pixels=60)


@pytest.fixture(scope="module")
def detections(made):
    lower = made.detected | (np.arange(len(made.p)) % 3 == 0)
    return {
        name: detection.fit_detection(AXES, made.values, found, made.pixel, rounds=50).detection
        for name, found in (("fpr=0.001", made.detected), ("fpr=0.01", lower))
    }


@pytest.fixture
def alone(made, detections, tmp_path):
    """A folder with nothing but both files."""
    from lensctl.io.tables.files import write_table

    (tmp_path / "evaluate.py").write_text(evaluate_file.text_of(detections, "toy"), encoding="utf-8")
    write_table(evaluate_file.golden(detections, made.values), str(tmp_path / "golden.csv"))
    return tmp_path


def test_a_stranger_with_numpy_alone_gets_the_golden_values(alone):
    (alone / "try.py").write_text(STRANGER)
    ran = subprocess.run(
        [sys.executable, "-P", "try.py"], cwd=alone, env={"PYTHONPATH": "."}, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    worst, told = ran.stdout.split(maxsplit=1)
    assert float(worst) < 1e-6
    assert told.split("]")[0] == "[False, True"
    with (alone / "golden.csv").open() as file:
        assert next(csv.reader(file)) == ["threshold", *NAMES, "p_det", "p_low", "p_high", "inside"]


@pytest.fixture
def stranger(alone, monkeypatch):
    """evaluate.py as a module."""
    space = {"__name__": "evaluate"}
    exec(compile((alone / "evaluate.py").read_text(), "evaluate.py", "exec"), space)
    return space


def test_outside_there_is_nan_but_for_the_asking(stranger, made, detections):
    far = {**{name: column[:3] for name, column in made.values.items()}, "theta_e": np.array([1.0, 9.0, 1.0])}
    p = stranger["p_det"]("fpr=0.01", **far)
    assert np.isnan(p).tolist() == (~detections["fpr=0.01"].predict(far).inside).tolist()
    assert np.isnan(p[1])
    assert np.isfinite(stranger["p_det"]("fpr=0.01", extrapolate=True, **far)).all()


def test_numbers_do_as_well_as_arrays(stranger, made):
    row = {name: float(column[5]) for name, column in made.values.items()}
    (one,) = stranger["p_det"]("fpr=0.01", extrapolate=True, **row)
    both = stranger["p_det"]("fpr=0.01", extrapolate=True, **{**row, "theta_e": np.array([row["theta_e"], 1.0])})
    assert both.shape == (2,)
    assert both[0] == pytest.approx(one, abs=1e-12)


def test_the_average_is_that_of_lensctl(stranger, made, detections):
    weight = np.linspace(0, 2, len(made.p))
    mean = detections["fpr=0.001"].mean(made.values, weight)
    assert stranger["average"](weight, "fpr=0.001", **made.values) == pytest.approx((mean.value, mean.low, mean.high))


def test_a_wrong_question_is_told(stranger, made):
    row = {name: float(column[5]) for name, column in made.values.items()}
    with pytest.raises(ValueError, match=r"name one threshold: fpr=0.001, fpr=0.01"):
        stranger["p_det"](**row)
    with pytest.raises(ValueError, match="give theta_e, arc_mag_r"):
        stranger["p_det"]("fpr=0.01", **{**row, "source_mag_r": 24.0})
    with pytest.raises(ValueError, match="theta_e has values that are none: give Einstein radius, arcsec"):
        stranger["p_det"]("fpr=0.01", **{**row, "theta_e": 0.0})


def test_its_splines_are_scipys():
    knots = np.array([-1.0, 0.2, 0.3, 2.0, 5.0])
    values = np.concatenate([np.linspace(-2, 6, 400), knots])
    np.testing.assert_allclose(standalone._splines(values, knots), splines.basis(values, knots), atol=1e-12)


def test_the_same_detections_give_the_same_text(detections):
    assert evaluate_file.text_of(detections, "toy") == evaluate_file.text_of(dict(detections), "toy")
