"""The folder of a ranking of galaxies without labels: metrics.json, report.html and tables/."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lensctl.evaluate.report.unlabelled import Ranking
from lensctl.io.html import pictures
from lensctl.io.html.pages import environment, page
from lensctl.io.tables.csv_dress import for_people
from lensctl.io.tables.files import write_table

SHOWN = 200


def write(ranking: Ranking, folder: Path, read: pictures.Read | None, no_pictures: str = "") -> int:
    """Write a ranking into an empty folder; reproducible byte for byte.

    Parameters
    ----------
    read : callable, optional
        Reads cutouts by row of the scores; without it the report shows `no_pictures` instead of pictures.

    Returns
    -------
    int
        Number of pictures in the report.
    """
    (folder / "tables").mkdir()
    write_table(ranking.table, str(folder / "tables" / "ranking.parquet"))
    write_table(for_people(ranking.table), str(folder / "tables" / "ranking.csv"))
    shown = pictures.colour_pictures(read, ranking.rows[:SHOWN], ranking.survey) if read and len(ranking.rows) else []
    (folder / "report.html").write_text(render(ranking, shown, no_pictures), encoding="utf-8")
    text = json.dumps(ranking.metrics, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
    (folder / "metrics.json").write_text(text + "\n", encoding="utf-8")
    return len(shown)


def render(ranking: Ranking, images: Sequence[str], no_pictures: str = "") -> str:
    """The report as HTML; `images` are data URIs of cutouts in order of rank, or none."""
    return page(
        environment("lensctl.evaluate.report"),
        "ranking.html",
        m=ranking.metrics,
        cards=_cards(ranking, images),
        no_pictures="" if images else no_pictures,
        in_viewer=ranking.survey.in_legacy_surveys,
    )


def _cards(ranking: Ranking, images: Sequence[str]) -> list[dict[str, Any]]:
    rows = ranking.table.slice(0, SHOWN).to_pylist()
    nothing = {"ra": None, "dec": None, "type": None}
    return [
        {**nothing, **row, "picture": picture, "grade": ranking.grades.get(row["galaxy_id"], "")}
        for row, picture in zip(rows, list(images) or [""] * len(rows), strict=True)
    ]
