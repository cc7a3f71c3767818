"""`lensctl sky`: the receipt, refusals, and the same bytes twice."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from lensctl.cli.main import main
from tests.toys.small_sky import SURVEYS


def digests(place: Path) -> dict[str, str]:
    files = sorted(file for file in place.rglob("*") if file.is_file())
    return {str(file.relative_to(place)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("made") / "sky"
    assert main(["sky", str(place), "--galaxies", "40", "--lenses", "4", "--workers", "1"]) == 0
    return place


def test_a_sky_is_made_and_the_receipt_is_one_line_of_json(lensctl, tmp_path):
    (tmp_path / "sky.yaml").write_text("galaxies: 40\nlenses: 4\nworkers: 1\n")
    done = lensctl("sky", "sky", "--config", "sky.yaml", "--seed", 5)
    assert done.returncode == 0, done.stderr
    receipt = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    assert (receipt["command"], receipt["output"], receipt["bricks"], receipt["lenses"]) == ("sky", "sky", 20, 4)
    steps = json.loads((tmp_path / "sky" / "provenance.json").read_text())
    assert [step["command"] for step in steps] == ["sky"]
    assert steps[0]["parameters"] == {
        "galaxies": 40,
        "lenses": 4,
        "window_px": None,
        "full_bricks": False,
        "style": "default",
        "seed": 5,
    }
    assert "nothing in it is real" in done.stderr.lower()
    assert {p.name for p in (tmp_path / "sky").iterdir()} == {
        "README.md",
        "lenses.csv",
        "provenance.json",
        "south",
        "survey-bricks.fits.gz",
        "truth.parquet",
    }


def test_the_same_command_gives_the_same_bytes_and_replaces_with_overwrite(made, capsys):
    before = digests(made)
    assert main(["sky", str(made), "--galaxies", "40", "--lenses", "4", "--workers", "1", "--overwrite"]) == 0
    assert digests(made) == before


def test_a_sky_that_exists_is_refused_and_left_alone(made, capsys):
    before = digests(made)
    assert main(["sky", str(made), "--galaxies", "40"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert digests(made) == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--galaxies", "5"], "20"),
        (["--galaxies", "40", "--lenses", "30"], "are too many"),
        (["--window-px", "400", "--full-bricks"], "exclude each other"),
        (["--window-px", "120"], "300"),
        (["--galaxys", "40"], "--galaxys"),
        (["--survey", "ls-dr11"], "no survey 'ls-dr11'"),
        (["--survey", "vis-yjh.yaml", "--window-px", "600"], "between 668 and 9424"),
    ],
)
def test_a_bad_option_is_exit_2_with_one_sentence_and_nothing_written(tmp_path, capsys, monkeypatch, options, said):
    monkeypatch.chdir(SURVEYS)
    assert main(["sky", str(tmp_path / "sky"), *options]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_a_sky_of_a_survey_of_ones_own_has_its_bands_and_names_it(tmp_path, capsys):
    file = str(SURVEYS / "vis-yjh.yaml")
    done = main(["sky", str(tmp_path / "sky"), "--galaxies", "20", "--lenses", "3", "--survey", file, "--workers", "1"])
    assert done == 0, capsys.readouterr().err
    bands = {path.name.split("-image-")[1] for path in (tmp_path / "sky").glob("south/coadd/*/*/*-image-*")}
    assert bands == {f"{band}.fits.fz" for band in ("VIS", "Y", "J", "H")}
    step = json.loads((tmp_path / "sky" / "provenance.json").read_text())[0]
    assert json.loads(step["survey"])["name"] == "vis-yjh"


def test_a_survey_without_imaging_is_refused_in_one_sentence(tmp_path, capsys):
    kept = (SURVEYS / "griz.yaml").read_text().split("imaging:")[0]
    (tmp_path / "mine.yaml").write_text(kept)
    assert main(["sky", str(tmp_path / "sky"), "--survey", str(tmp_path / "mine.yaml")]) == 2
    error = capsys.readouterr().err
    assert "survey my-griz does not say what its imaging is like" in error
    assert error.count("error:") == 1
    assert not (tmp_path / "sky").exists()


def test_an_unknown_setting_is_refused_with_the_near_one(tmp_path, capsys):
    (tmp_path / "sky.yaml").write_text("galaxie: 40\n")
    assert main(["sky", str(tmp_path / "sky"), "--config", str(tmp_path / "sky.yaml")]) == 2
    assert "did you mean 'galaxies'" in capsys.readouterr().err
    assert not (tmp_path / "sky").exists()


def test_a_sky_that_fails_half_way_leaves_nothing(tmp_path, monkeypatch, capsys):
    from lensctl.sky import mock

    write, written = mock.coadds.write, []

    def fails_at_the_second(*window: object) -> None:
        write(*window)
        written.append(window)
        if len(written) == 2:
            raise OSError(28, "No space left on device", "image")

    monkeypatch.setattr(mock.coadds, "write", fails_at_the_second)
    assert main(["sky", str(tmp_path / "sky"), "--galaxies", "20", "--lenses", "0", "--workers", "1"]) == 2
    assert "No space left" in capsys.readouterr().err
    assert len(written) == 2
    assert list(tmp_path.iterdir()) == []


def test_help_has_an_example(capsys):
    assert main(["sky", "--help"]) == 0
    assert "Example: lensctl sky sky --galaxies 2000" in capsys.readouterr().out


def test_people_are_told_the_totals(tmp_path, capsys):
    assert main(["sky", str(tmp_path / "sky"), "--galaxies", "40", "--lenses", "4", "--workers", "1"]) == 0
    said = capsys.readouterr()
    made = json.loads(said.out)
    rows = {" ".join(words[:-4]): [int(n) for n in words[-4:]] for words in map(str.split, said.err.splitlines())
            if len(words) > 4 and words[-1].isdigit()}  # fmt: skip
    assert rows["all objects"][-1] == made["rows"]
    assert rows["all lenses"][-1] == made["lenses"] == 4
    assert all(row[-1] == sum(row[:-1]) for row in rows.values())
    kinds = [row for name, row in rows.items() if "all" not in name and "lenses" not in name]
    assert [sum(column) for column in zip(*kinds, strict=True)] == rows["all objects"]
    assert f"{made['rows']} objects in {made['bricks']} bricks, 4 of them lenses" in said.err
