"""`report.html` of a search: a single self-contained file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensctl.astro.sky_area import Area
from lensctl.io.cutouts.store import open_store
from lensctl.io.html import figures, pictures
from lensctl.io.html.pages import environment, page, viewer_link
from lensctl.rules.quality import OK
from lensctl.rules.survey import Survey
from lensctl.search.report import sky_map

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN = 200
"""Candidates in the gallery."""
MISSED_SHOWN = 200
"""Known lenses that are listed, of those that were missed."""


def write(
    folder: Path,
    made: Mapping[str, Any],
    area: Area,
    leaders: pa.Table,
    lenses: pa.Table | None,
    survey: Survey,
) -> None:
    """Write the report of a search into its folder, which holds candidates.zarr if there are candidates.

    Parameters
    ----------
    made : mapping
        search.json.
    leaders : pa.Table
        One row for each system of the list, in order of rank.
    lenses : pa.Table, optional
        By `known.fates`.
    """
    few = leaders.slice(0, SHOWN)
    images: list[str] = []
    if few.num_rows:
        images = pictures.colour_pictures(
            open_store(folder / "candidates.zarr").read, few["cutout_index"].to_numpy(), survey
        )
    found, missed = _found_and_missed(lenses)
    figure = sky_map.draw(area, leaders, found, missed)
    uri = pictures.data_uri(figures.render(figure, "svg"), "svg+xml")
    (folder / "report.html").write_text(render(made, few, images, lenses, uri, survey), encoding="utf-8")


def render(
    made: Mapping[str, Any],
    shown: pa.Table,
    images: Sequence[str],
    lenses: pa.Table | None,
    sky: str,
    survey: Survey,
) -> str:
    """The report as HTML.

    Parameters
    ----------
    shown : pa.Table
        Candidates of the gallery.
    images : sequence of str
        Data URI of the picture of each.
    sky : str
        Data URI of the map.
    """
    of_missed = _found_and_missed(lenses)[1]
    missed = [] if of_missed is None else of_missed.to_pylist()
    missed.sort(key=lambda row: (row["tier"] or "~", row["name"]))
    recall = {} if made["known_lenses"] is None else _by_place(made["known_lenses"]["recall"])
    return page(
        environment("lensctl.search.report"),
        "search.html",
        m=made,
        funnel=_funnel(made),
        sky=sky,
        recall=recall,
        missed=missed[:MISSED_SHOWN],
        missed_in_all=len(missed),
        cards=_cards(shown, images, survey),
        in_viewer=survey.in_legacy_surveys,
        step=made["provenance"][-1],
    )


def _found_and_missed(lenses: pa.Table | None) -> tuple[pa.Table | None, pa.Table | None]:
    """Known lenses in the list, and those in the searched area that are not."""
    import pyarrow.compute as pc

    if lenses is None:
        return None, None
    listed = pc.is_valid(lenses["rank"])
    return lenses.filter(listed), lenses.filter(pc.and_(pc.invert(listed), lenses["in_searched_area"]))


def _funnel(made: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows read, removed by each criterion, left without a score by each status, scored, and in the list."""
    rows, left = [dict(row) for row in made["funnel"]], made["rows"]["searched"]
    for status, count in made["rows"]["status"].items():
        if status != OK:
            left -= count
            rows.append({"criterion": f"no score: {status.replace('_', ' ')}", "removed": count, "remaining": left})
    found = made["candidates"]
    rows.append({"criterion": "not in the list", "removed": left - found["rows"], "remaining": found["rows"]})
    merged = found["rows"] - found["systems"]
    return [
        *rows,
        {"criterion": "members of a system that another leads", "removed": merged, "remaining": found["systems"]},
    ]


def _by_place(recall: Sequence[Mapping[str, Any]]) -> dict[str, dict[tuple[str, str], Mapping[str, Any]]]:
    """Figures by tier and lenses, for each threshold or the list."""
    found: dict[str, dict[tuple[str, str], Mapping[str, Any]]] = {}
    for row in recall:
        found.setdefault(row["at"], {})[row["tier"], row["lenses"]] = row
    return found


def _cards(shown: pa.Table, images: Sequence[str], survey: Survey) -> list[dict[str, Any]]:
    return [
        {**row, "picture": picture, "viewer": viewer_link(row["ra"], row["dec"], survey)}
        for row, picture in zip(shown.to_pylist(), images, strict=True)
    ]
