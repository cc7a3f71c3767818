"""`lensctl gate` as people and CI call it: lines, tables, exit status."""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import json
import os
import subprocess
import sys
import zipfile
from xml.etree import ElementTree

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensctl.cli import gate_report
from lensctl.cli.main import main
from lensctl.gates import registry
from lensctl.rules.checks import Check
from tests.toys.manifests import changed, toy_manifest, with_rows
from tests.toys.surveys import WIDE

KEYS = ["gate", "check", "passed", "value", "low", "high", "limit", "n", "offenders", "input_digest"]


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """Run `lensctl ARGS...` in this process, in tmp_path: as the command does, without its start."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        status = main(list(arguments))
        said = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, status, said.out, said.err)

    return run


@pytest.fixture
def manifest(tmp_path):
    pq.write_table(toy_manifest(), tmp_path / "good.parquet")
    pq.write_table(with_rows(toy_manifest(), [1], sample_weight=2.0), tmp_path / "bad.parquet")
    pq.write_table(toy_manifest(0, 0), tmp_path / "empty.parquet")


def lines(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_several_gates_run_as_one_and_pass(lensctl, manifest):
    done = lensctl("gate", "splits,overlap,weights", "good.parquet")
    assert done.returncode == 0, done.stderr
    found = lines(done)
    assert {line["gate"] for line in found} == {"splits", "overlap", "weights"}
    assert len({line["input_digest"] for line in found}) == 1
    assert all(list(line)[:10] == KEYS and line["passed"] is True for line in found)
    assert done.stderr.endswith(" passed, none failed\n")
    assert lensctl("gate", "splits,overlap,weights", "good.parquet").stdout == done.stdout


def test_no_is_exit_status_1_and_says_where(here, manifest):
    done = here("gate", "splits,weights", "bad.parquet")
    assert done.returncode == 1
    wrong = [line for line in lines(done) if not line["passed"]]
    assert {line["gate"] for line in wrong} == {"weights"}
    assert wrong[0]["offenders"]
    assert (
        "FAILED weights: tier B weighs 0.3 to 0.6\n  1; limit: = 0; 180 checked\n  0001p000_1 (label 1" in done.stderr
    )
    assert done.stderr.endswith("26 checks: 25 passed, 1 failed\n")


@pytest.mark.parametrize("name", ["splits", "overlap", "weights", "pool", "pixels", "homogeneity", "shortcut"])
def test_nothing_to_judge_is_no(here, tmp_path, name):
    empty = toy_manifest(0, 0)
    pq.write_table(empty.append_column("pool", empty["tier"]), tmp_path / "empty.parquet")
    done = here("gate", name, "empty.parquet")
    assert done.returncode == 1, done.stderr
    assert any(line["value"] == 0 and "to judge" in line["check"] for line in lines(done) if not line["passed"])


@pytest.mark.parametrize("spoilt", [{"split": None}, {"healpix_128": None}])
def test_a_null_split_or_pixel_is_no(here, tmp_path, spoilt):
    pq.write_table(with_rows(toy_manifest(), [4], **spoilt), tmp_path / "nulls.parquet")
    done = here("gate", "splits", "nulls.parquet")
    assert done.returncode == 1
    assert "0004p000_4" in done.stdout
    assert "0004p000_4" in done.stderr


def test_a_gate_named_twice_runs_once(here, manifest):
    once = here("gate", "weights", "good.parquet").stdout
    assert here("gate", "weights, weights", "good.parquet").stdout == once


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("split", "good.parquet"), "did you mean 'splits'"),
        (("splits",), "no input given"),
        (("splits", "absent.parquet"), "absent.parquet: no such file"),
        (("splits", "folder"), "folder without parquet files"),
        (("weights", "good.parquet", "bad.parquet"), "takes one input"),
        (("trained", "."), "no metrics.json"),
        (("splits", "good.parquet", "--set", "splits.trian=1,2"), "did you mean 'train'"),
        (("splits", "good.parquet", "--level", "plan"), "--level does not apply to splits"),
        (("splits", "good.parquet", "--crop", "64"), "--crop does not apply to splits"),
        (("shortcut", "good.parquet", "--level", "mvp"), "one of default, plan"),
        (("splits", "good.parquet", "--config", "typo.yaml"), "did you mean 'level'"),
        (("splits", "broken.parquet"), "cannot be read"),
        (("splits", "good.parquet", "--colour"), "No such option"),
    ],
)
def test_what_cannot_be_judged_is_exit_status_2_with_one_sentence(here, manifest, tmp_path, arguments, says):
    (tmp_path / "folder").mkdir()
    (tmp_path / "typo.yaml").write_text("levle: plan\n")
    (tmp_path / "broken.parquet").write_bytes((tmp_path / "good.parquet").read_bytes()[:2000])
    done = here("gate", *arguments)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_missing_column_is_exit_status_2(here, tmp_path):
    pq.write_table(toy_manifest().drop_columns(["healpix_128"]), tmp_path / "manifest.parquet")
    done = here("gate", "splits", "manifest.parquet")
    assert done.returncode == 2
    assert "'healpix_128'" in done.stderr


@pytest.mark.parametrize("name", ["homogeneity", "shortcut"])
def test_a_cutout_ok_that_is_neither_yes_nor_no_is_exit_status_2(here, tmp_path, name):
    table = changed(toy_manifest(), "cutout_ok", ["maybe"] * 1200)
    pq.write_table(table, tmp_path / "manifest.parquet")
    done = here("gate", name, "manifest.parquet")
    assert done.returncode == 2
    assert "column 'cutout_ok' is string, and maybe in row 0 does not fit bool" in done.stderr


def test_limits_come_from_the_config_and_options_win_key_by_key(here, manifest, tmp_path):
    (tmp_path / "limits.yaml").write_text("set:\n  splits.train: [0.9, 1.0]\n  weights.tier_b: [0.3, 2.5]\n")
    assert here("gate", "weights", "bad.parquet", "--config", "limits.yaml").returncode == 0
    assert here("gate", "splits", "good.parquet", "--config", "limits.yaml").returncode == 1
    done = here("gate", "splits,weights", "bad.parquet", "--config", "limits.yaml", "--set", "splits.train=0.6,0.8")
    assert done.returncode == 0, done.stderr


def test_list_names_every_gate_with_inputs_meaning_and_settings(here):
    done = here("gate", "list")
    assert done.returncode == 0, done.stderr
    found = {line["gate"]: line for line in lines(done)}
    assert set(registry.BUILT_IN) <= set(found)
    assert all(line["inputs"] and line["meaning"] for line in found.values())
    assert found["splits"]["settings"]["train"] == "0.65,0.75"
    assert "splits.train" in done.stderr


def test_help_on_the_shortcut_gate_names_classifier_and_features(here):
    done = here("gate", "shortcut", "--help")
    assert done.returncode == 0
    text = " ".join(done.stdout.split())
    assert "HistGradientBoostingClassifier" in text
    features = "psfsize_z psfdepth_z nobs_z source zeros NaN noise texture centroid annulus_mad asymmetry profile"
    assert all(word in text for word in features.split())


CHECKS = (
    Check("pool", "rows to judge", True, 9023, limit=">= 2000", n=9023),
    Check("pool", "N2 share", True, 0.2249, 0.2164, 0.2336, ">= 0.15, <= 0.25", 9023, note="its interval is narrow"),
    Check("shortcut", "AUC of nobs_z", True, 0.5, 0.46, 0.54, "interval meets 0.4..0.6", 9000),
    Check("shortcut", "AUC of noise_g, matched", False, 0.713, 0.65, 0.77, "interval meets 0.4..0.6", 9000),
    *(
        Check("shortcut", f"AUC of {what}_{band}, matched", True, 0.5123, 0.48, 0.544, n=9000, note="expected physics")
        for what in ("asymmetry", "annulus_mad")
        for band in "grz"
    ),
    Check("shortcut", "AUC of core, r < 10 px", True, None, n=9000),
    Check("splits", "no, [not] here", False, 7, limit="= 0", n=5, offenders=("é, 50 %", "b\nc: d", "\x00e", "f", "g")),
)


def drawn(monkeypatch, capsys, width):
    monkeypatch.setenv("COLUMNS", str(width))
    gate_report.show(CHECKS)
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_tells_judged_from_reported_and_ends_with_what_failed(monkeypatch, capsys, width):
    told = drawn(monkeypatch, capsys, width)
    assert all(len(line) <= width for line in told)
    at = [
        k for k, line in enumerate(told) if line.startswith(("passed", "reported only", "shortcut: expected", "FAILED"))
    ]
    assert len(at) == 5
    passed, reported, physics, noise, splits = (told[i:j] for i, j in itertools.pairwise([*at, len(told)]))
    assert [line.split() for line in passed[3:5]] == [
        ["rows", "to", "judge", "9,023", ">=", "2000", "9,023"],
        ["N2", "share", "0.2249", "0.216..0.234", "0.15..0.25", "9,023"],
    ]
    assert passed[5].strip() == "its interval is narrow"
    assert passed[8].split() == ["AUC", "of", "nobs_z", "0.5", "0.460..0.540", "0.4..0.6", "9,000"]
    assert reported[2].split() == ["shortcut:", "AUC", "of", "core,", "r", "<", "10", "px", "–", "9,000"]
    assert physics[0] == "shortcut: expected physics; AUC of …, matched"
    assert physics[3].split() == ["asymmetry", *["0.512", "0.480..0.544"] * 3]
    assert physics[4].split()[0] == "annulus_mad"
    assert noise == [
        "FAILED shortcut: AUC of noise_g, matched",
        "  0.713 (0.65..0.77); limit: interval meets 0.4..0.6; 9,000 checked",
    ]
    assert splits == [
        "FAILED splits: no, [not] here",
        "  7; limit: = 0; 5 checked",
        "  é, 50 %",
        "  b",
        "c: d",
        r"  \x00e",
        "  … and 4 more",
        "12 checks: 3 passed, 2 failed, 7 reported only",
    ]


def test_junit_is_xml_that_counts_and_names_what_failed():
    suites = ElementTree.fromstring(gate_report.junit(CHECKS))
    assert suites.tag == "testsuites"
    assert [suites.get(key) for key in ("name", "tests", "failures", "errors")] == ["lensctl gate", "12", "2", "0"]
    assert [(suite.get("name"), suite.get("tests"), suite.get("failures")) for suite in suites] == [
        ("pool", "2", "0"),
        ("shortcut", "9", "1"),
        ("splits", "1", "1"),
    ]
    cases = suites.findall(".//testcase")
    assert [(case.get("classname"), case.get("name")) for case in cases] == [
        (f"lensctl.gate.{check.gate}", check.check) for check in CHECKS
    ]
    assert [[part.tag for part in case] for case in cases] == [
        ["system-out"] if check.passed else ["failure", "system-out"] for check in CHECKS
    ]
    noise, splits = suites.findall(".//failure")
    assert noise.get("message") == "0.713 (0.65..0.77); limit: interval meets 0.4..0.6; 9,000 checked"
    assert splits.get("message") == "7; limit: = 0; 5 checked"
    assert splits.text.splitlines() == ["7; limit: = 0; 5 checked", "é, 50 %", "b", "c: d", "\ufffde", "… and 4 more"]
    assert json.loads(cases[0].find("system-out").text) == CHECKS[0].as_dict()


@given(st.text(), st.text())
def test_whatever_an_offender_is_called_the_junit_file_is_xml(name, id):
    check = Check("splits", name, False, 1, limit="= 0", n=1, offenders=(id,), note=name)
    (failure,) = ElementTree.fromstring(gate_report.junit([check])).findall(".//failure")
    assert failure.get("message").startswith("1; limit")


def test_github_reads_one_line_for_each_failure():
    line = gate_report.annotation(CHECKS[-1])
    assert line == (
        "::error title=lensctl gate splits::no, [not] here; 7; limit: = 0; 5 checked; "
        "é, 50 %25; b%0Ac: d; \x00e; … and 4 more"
    )
    odd = gate_report.annotation(dataclasses.replace(CHECKS[-1], gate="a,b:c%"))
    assert odd.startswith("::error title=lensctl gate a%2Cb%3Ac%25::")


def test_junit_and_github_annotations(here, manifest, tmp_path):
    done = here("gate", "splits,weights", "bad.parquet", "--junit", "checks.xml", "--github")
    assert done.returncode == 1
    suites = ElementTree.parse(tmp_path / "checks.xml").getroot()
    assert [suite.get("name") for suite in suites] == ["splits", "weights"]
    assert len(suites.findall(".//failure")) == 1
    assert len(suites.findall(".//testcase")) == len(lines(done))
    assert done.stderr.count("::error title=lensctl gate weights::") == done.stderr.count("::error") == 1
    assert "::error" not in done.stdout
    again = here("gate", "weights", "bad.parquet", "--junit", "checks.xml")
    assert again.returncode == 2
    assert "exists" in again.stderr
    assert here("gate", "weights", "good.parquet", "--junit", "checks.xml", "--overwrite").returncode == 0
    assert here("gate", "splits", "absent.parquet", "--junit", "none.xml").returncode == 2
    assert not (tmp_path / "none.xml").exists()


def test_a_manifest_comes_through_a_pipe(lensctl, manifest, tmp_path):
    good = (tmp_path / "good.parquet").read_bytes()
    done = lensctl("gate", "splits,weights", "-", "--config", "stdin.yaml", stdin=good)
    assert done.returncode == 2  # no such config, before stdin is read
    import io

    import pyarrow as pa

    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, toy_manifest().schema) as writer:
        writer.write_table(toy_manifest())
    done = lensctl("gate", "splits,weights", "-", stdin=stream.getvalue())
    assert done.returncode == 0, done.stderr


def test_a_reader_that_leaves_early_does_not_look_like_a_failed_gate(manifest, tmp_path):
    writer = subprocess.Popen(
        [sys.executable, "-m", "lensctl", "gate", "splits", "good.parquet"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    writer.stdout.close()
    assert writer.wait() == 141


# other surveys


def test_limits_are_those_of_the_survey_that_the_input_names_or_that_is_given(here, tmp_path):
    pq.write_table(toy_manifest(survey=WIDE), tmp_path / "wide.parquet")
    pq.write_table(toy_manifest(survey=WIDE).replace_schema_metadata(), tmp_path / "bare.parquet")
    (tmp_path / "wide.yaml").write_text(WIDE.as_text)  # JSON is YAML
    done = here("gate", "splits,overlap,weights", "wide.parquet")
    assert done.returncode == 0, done.stderr
    assert here("gate", "splits", "bare.parquet").returncode == 1
    assert (
        here("gate", "splits", "bare.parquet", "--survey", "wide.yaml").stdout
        == "\n".join(line for line in done.stdout.splitlines() if '"gate": "splits"' in line) + "\n"
    )
    other = here("gate", "splits", "wide.parquet", "--survey", "ls-dr10")
    assert (other.returncode, other.stdout) == (2, "")
    assert "is of survey wide, not of ls-dr10" in other.stderr
    assert "did you mean 'ls-dr10'" in here("gate", "splits", "bare.parquet", "--survey", "ls-dr1").stderr


def test_list_shows_the_settings_of_a_survey(here, tmp_path):
    (tmp_path / "wide.yaml").write_text(WIDE.as_text)
    found = {line["gate"]: line["settings"] for line in lines(here("gate", "list", "--survey", "wide.yaml"))}
    assert found["splits"]["train"] == "0.55,0.65"
    assert found["pixels"]["size"] == "96"
    assert "nobs_VIS" in found["pool"]["critical"]
    usual = {line["gate"]: line["settings"] for line in lines(here("gate", "list"))}
    assert usual["shortcut"]["nobs"] == "1.5"
    assert "nobs_z" not in usual["shortcut"]


def test_the_table_has_a_column_for_each_band_that_is_found(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "110")
    checks = [
        Check("shortcut", f"AUC of {what}_{band}, matched", True, 0.5123, 0.48, 0.544, n=9000, note="expected physics")
        for what in ("asymmetry", "profile_0_8px")
        for band in ("VIS", "Y", "H")
    ]
    gate_report.show(checks, WIDE)
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "expected physics; AUC of …, matched"
    assert told[1].split() == ["VIS", "Y", "H"]
    assert told[3].split() == ["asymmetry", *["0.512", "0.480..0.544"] * 3]
    assert told[4].split()[0] == "profile_0_8px"


def test_many_bands_are_told_in_several_tables_and_no_number_is_cut_off(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    survey = dataclasses.replace(WIDE, bands=("VIS", "Y", "J", "H", "g", "r"))
    checks = [
        Check("shortcut", f"AUC of asymmetry_{band}, matched", True, 0.5123, 0.48, 0.544, n=9000, note="physics")
        for band in survey.bands
    ]
    gate_report.show(checks, survey)
    told = capsys.readouterr().err
    assert told.count("0.512") == told.count("0.480..0.544") == 6
    assert told.count("asymmetry") == 2


# plug-ins

BRIGHT_STARS = '''
"""The checks of our group."""

from dataclasses import dataclass

import pyarrow.compute as pc

from lensctl.gates.registry import gate, setting
from lensctl.rules import checks, schema


@dataclass(frozen=True)
class Settings:
    """Limits of the bright-stars gate."""

    max_flux_z: float = setting(400.0, "greatest flux in z, nanomaggies")


@gate("bright_stars", inputs="MANIFEST", settings=Settings)
def bright_stars(inputs, limits):
    """No galaxy is as bright as a star that was taken for one."""
    manifest = inputs.manifest
    schema.require(manifest, "galaxy_id", "flux_z", where=inputs.path)
    yield checks.some("bright_stars", "rows", manifest.num_rows)
    bright = manifest.filter(pc.greater(manifest["flux_z"], limits.max_flux_z))
    check = f"no flux_z above {limits.max_flux_z:g}"
    yield checks.none("bright_stars", check, bright["galaxy_id"].to_pylist(), manifest.num_rows)
'''


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install a package as pip does: a wheel of one module and its entry points, for this process and its own."""
    site, modules = tmp_path / "site", set()
    monkeypatch.setattr(registry, "_GATES", dict(registry._GATES))
    monkeypatch.syspath_prepend(str(site))

    def install(package, source, **points):
        module = package.replace("-", "_")
        modules.add(module)
        info, wheel = f"{module}-1.0.dist-info", tmp_path / f"{module}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as files:
            files.writestr(f"{module}.py", source)
            files.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
            files.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            entries = "".join(f"{name} = {value}\n" for name, value in points.items())
            files.writestr(f"{info}/entry_points.txt", f"[lensctl.gates]\n{entries}")
            files.writestr(f"{info}/RECORD", "")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", site, wheel]
        subprocess.run(pip, check=True, capture_output=True, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
        importlib.invalidate_caches()
        return {**os.environ, "PYTHONPATH": str(site)}

    yield install
    for module in modules:
        sys.modules.pop(module, None)


def test_an_installed_package_adds_a_gate_that_runs_lists_combines_and_has_settings(
    installed, lensctl, here, manifest, tmp_path
):
    env = installed("survey-checks", BRIGHT_STARS, bright_stars="survey_checks")
    done = lensctl("gate", "weights,bright_stars", "good.parquet", env=env)
    assert done.returncode == 0, done.stderr
    assert {line["gate"] for line in lines(done)} == {"weights", "bright_stars"}
    assert len({line["input_digest"] for line in lines(done)}) == 1

    done = here("gate", "bright_stars", "good.parquet", "--set", "bright_stars.max_flux_z=20", "--junit", "checks.xml")
    assert done.returncode == 1
    assert "FAILED bright_stars: no flux_z above 20" in done.stderr
    assert ElementTree.parse(tmp_path / "checks.xml").getroot()[0].get("name") == "bright_stars"
    assert here("gate", "bright_stars", "empty.parquet").returncode == 1

    listed = {line["gate"]: line for line in lines(here("gate", "list"))}
    assert list(listed) == [*registry.BUILT_IN, "bright_stars"]
    assert listed["bright_stars"] == {
        "gate": "bright_stars",
        "inputs": "MANIFEST",
        "meaning": "No galaxy is as bright as a star that was taken for one.",
        "settings": {"max_flux_z": "400.0"},
    }
    for wrong, says in (
        (("bright_star", "good.parquet"), "did you mean 'bright_stars'"),
        (("bright_stars", "good.parquet", "--set", "bright_stars.max_flux=2"), "did you mean 'max_flux_z'"),
        (("bright_stars", "good.parquet", "--set", "bright_stars.max_flux_z=x"), "greatest flux in z, nanomaggies"),
    ):
        done = here("gate", *wrong)
        assert (done.returncode, done.stdout) == (2, "")
        assert says in done.stderr


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_thing", "No module named 'no_such_thing'"),
        ("x = = 1", "invalid syntax"),
        ("undefined()", "name 'undefined' is not defined"),
        ("x = 1", "survey_checks defines no gate of that name"),
        (
            "from lensctl.gates.registry import gate\ngate('others')(print)",
            "survey_checks defines no gate of that name",
        ),
        ("from lensctl.gates.registry import gate\ngate('splits')(print)", "two gates are named 'splits'"),
    ],
)
def test_a_plug_in_that_cannot_be_loaded_is_exit_status_2_and_the_others_work(
    installed, here, manifest, source, reason
):
    registry.find("splits")
    installed("survey-checks", source, bright_stars="survey_checks")
    done = here("gate", "bright_stars", "good.parquet")
    assert (done.returncode, done.stdout) == (2, "")
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    assert here("gate", "weights", "good.parquet").returncode == 0
    done = here("gate", "list")
    assert done.returncode == 0
    assert reason in {line["gate"]: line for line in lines(done)}["bright_stars"]["problem"]
    assert "cannot be loaded" in done.stderr


def test_a_plug_in_that_takes_a_name_of_ours_or_of_another_is_refused_where_the_name_is_asked_for(
    installed, here, manifest
):
    installed("survey-checks", BRIGHT_STARS, bright_stars="survey_checks", weights="survey_checks")
    done = here("gate", "weights", "good.parquet")
    assert (done.returncode, done.stdout) == (2, "")
    assert "2 gates are named 'weights': of lensctl and survey-checks" in done.stderr
    assert here("gate", "splits,bright_stars", "good.parquet").returncode == 0
    installed("more-checks", BRIGHT_STARS, bright_stars="more_checks")
    done = here("gate", "bright_stars", "good.parquet")
    assert done.returncode == 2
    assert "2 gates are named 'bright_stars': of more-checks and survey-checks" in done.stderr


def test_what_passed_without_being_told_is_counted(capsys):
    checks = [
        Check("trained", name, True, 0.8, 0.6, 0.9, ">= 0.75", 21, told=told)
        for name, told in (("a", False), ("b", True))
    ]
    gate_report.show(checks)
    assert "2 checks: 2 passed (1 of them not told), none failed" in capsys.readouterr().err
