"""Folders: a run, an evaluation, a frozen model, a mock sky and what is unfinished say what they are."""

from __future__ import annotations

import json

import pytest

from lensctl.io.provenance.steps import Step
from lensctl.io.tables.files import write_table
from lensctl.show.identify import identify
from tests.toys import catalogs
from tests.toys import frozen as frozen_toys
from tests.toys.frozen import bundle


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with frozen_toys.tiny_network():
        yield bundle(tmp_path_factory)


def test_a_run_an_evaluation_a_frozen_model_and_gate_lines_say_what_they_are(made):
    run, evaluation, frozen = (identify(str(made / name)) for name in ("run", "evaluation", "frozen"))
    assert [facts.kind for facts in (run, evaluation, frozen)] == ["run", "evaluation", "frozen model"]
    assert run.values["epochs"] == 2
    assert run.values["val_scores"] == 40
    assert run.values["model_digest"] == evaluation.values["model_digest"] == frozen.values["model_digest"]
    assert run.values["manifest_digest"] == identify(str(made / "manifest.parquet")).values["digest"]
    assert "test_auc" in evaluation.details["headline"]
    assert evaluation.values["levels"].startswith("mvp ")
    assert evaluation.values["levels"].split(", ")[0][4:] in ("reached", "not told", "missed")
    (thresholds, _) = frozen.listings
    assert thresholds.rows[-1][0] == "above all non-lenses"
    assert thresholds.rows[-1][-1] == "0 of 23: below 0.12 at 95 %"
    assert thresholds.rows[-2][2] is None
    assert [facts.chain[-1].command for facts in (run, evaluation, frozen)] == ["train", "evaluate", "freeze"]
    assert {facts.values["survey"] for facts in (run, evaluation, frozen)} == {
        "ls-dr10: g, r, z at 0.262 arcsec per pixel"
    }
    lines = identify(str(made / "gates.jsonl"))
    assert (lines.kind, lines.values["lines"], lines.values["failed"]) == ("gate lines", 8, 0)
    assert identify(str(made / "run" / "best.safetensors")).kind == "weights (safetensors)"
    assert identify(str(made / "frozen" / "provenance.json")).chain == frozen.chain
    assert identify(str(made / "frozen" / "golden.npz")).kind == "arrays (.npz)"
    for facts in (run, evaluation, frozen, lines):
        json.dumps(facts.as_json(), allow_nan=False)


def test_a_mock_sky_says_what_is_in_it(tmp_path):
    from lensctl.sky.mock import make
    from lensctl.sky.pointings import Size

    chain = (Step("sky", {"seed": 1}),)
    make(tmp_path, Size(40, 3, 300, False), seed=1, workers=1, chain=chain)
    facts = identify(str(tmp_path))
    assert facts.kind == "mock sky"
    assert facts.values["mock"] is True
    assert facts.values["objects"] >= 40
    assert facts.chain == chain
    brick = next(tmp_path.glob("south/coadd/*/*/*-image-g.fits.fz"))
    picture = identify(str(brick))
    assert (picture.kind, picture.values["MOCK"]) == ("FITS image", True)
    catalogue = identify(str(next(tmp_path.glob("south/tractor/*/*.fits"))))
    assert catalogue.kind == "FITS table"
    assert "RA" in {column["name"].upper() for column in catalogue.details["columns"]}
    assert identify(str(tmp_path / "survey-bricks.fits.gz")).kind == "FITS table"


def test_what_is_unfinished_says_so(tmp_path):
    from lensctl.io.storage import resumable

    with pytest.raises(KeyboardInterrupt), resumable.job(tmp_path / "s.zarr", {"step": {"command": "cutout"}}):
        raise KeyboardInterrupt
    facts = identify(str(tmp_path / ".s.zarr.part"))
    assert (facts.kind, facts.values["command"], facts.values["becomes"]) == ("unfinished output", "cutout", "s.zarr")


def test_a_folder_of_unlike_tables_lists_them_and_adds_nothing_up(tmp_path):
    table = catalogs.pool(60)
    (tmp_path / "alike").mkdir()
    (tmp_path / "unlike").mkdir()
    for folder, names in (("alike", ["galaxy_id", "ra"]), ("unlike", ["galaxy_id"])):
        write_table(table.select(["galaxy_id", "ra"]), str(tmp_path / folder / "a.parquet"))
        write_table(table.select(names).slice(0, 5), str(tmp_path / folder / "b.parquet"))
    rows = table.num_rows
    assert identify(str(tmp_path / "alike")).values["rows"] == rows + 5
    found = identify(str(tmp_path / "unlike"))
    assert (found.kind, found.values["tables"]) == ("folder", 2)
    assert found.details["tables"] == [
        {"file": "a.parquet", "rows": rows, "columns": 2},
        {"file": "b.parquet", "rows": 5, "columns": 1},
    ]


def test_a_search_says_what_it_searched_and_found(tmp_path):
    (tmp_path / "search.json").write_text(
        json.dumps(
            {
                "model_digest": "sha256:1",
                "rows": {"searched": 9, "scored": 7, "lost": 2, "status": {"ok": 7, "half_empty": 2}},
                "area": {"searched_deg2": 1.5},
                "candidates": {"rows": 3, "systems": 2},
                "thresholds": [{"name": "p=0.5", "logit": 0.0, "rows": 3, "per_deg2": {"value": 2.0}}],
                "known_lenses": {"fates": [{"tier": "A", "fate": "in the list", "lenses": 1}]},
            }
        )
    )
    facts = identify(str(tmp_path))
    assert facts.kind == "search"
    assert (facts.values["scored"], facts.values["lost"], facts.values["systems"]) == (7, 2, 2)
    assert [listing.title for listing in facts.listings] == [
        "Rows by status",
        "Rows above each threshold",
        "Known lenses",
    ]
    assert facts.listings[1].rows == [("p=0.5", 0.0, 3, 2.0)]
