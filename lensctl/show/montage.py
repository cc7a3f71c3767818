"""A montage: colour cutouts in rows under headings, with text below each."""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lensctl.astro.rgb import lupton_rgb
from lensctl.injection.into_cutouts import ARCS, ARCS_KEPT
from lensctl.io.cutouts import by_manifest, npz
from lensctl.io.cutouts.store import is_store, open_store
from lensctl.io.provenance.steps import chain_of, survey_of
from lensctl.io.storage.s3 import is_s3
from lensctl.io.tables import sql
from lensctl.io.tables.files import read_table
from lensctl.rules import schema
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10, Survey

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS, WIDTH_PX, GAP_PX, MOST_ZOOM = 8, 1000, 6, 4
PICTURES = ("without its arc", "arc alone")
"""Of an injection, before the cutout itself."""
LINE_PX, HEADING_PX, TEXT_PX, HEADING_TEXT_PX = 12, 26, 9, 14
DPI = 100
_HEADED = re.compile(r"([^:'\"=<>()]+):\s+(.+)", re.DOTALL)

Read = Callable[[Sequence[int]], NDArray[np.float32]]


@dataclass(frozen=True)
class Source:
    """Cutouts to select from: their table, functions that read some of them and the arcs in them, and their survey."""

    table: pa.Table
    read: Read
    survey: Survey = LS_DR10
    arcs: Read | None = None


@dataclass(frozen=True)
class Strip:
    """Cutouts under one heading: pixels (n, S, S, B) float32 in nanomaggies, lines of text below each, their survey.

    As many as `together` in a row are of one galaxy, and stand on one line.
    """

    heading: str
    images: NDArray[np.float32]
    labels: Sequence[Sequence[str]]
    survey: Survey = LS_DR10
    together: int = 1


def open_source(path: str, root: str | None = None) -> Source:
    """The cutouts of a store, a manifest or table of scores, an .npz, or a folder of .npz.

    Parameters
    ----------
    root : str, optional
        Folder that `cutout_path` is relative to; default the manifest's folder.
    """
    if is_store(path):
        store = open_store(path)
        arcs = functools.partial(store.read_plane_rows, ARCS) if ARCS in store.layout.planes else None
        return Source(store.index, store.read, survey_of(store.chain), arcs)
    if not is_s3(path) and (path.endswith(".npz") or _holds_npz(path)):
        return _npz_source(path)
    manifest = read_table(path)
    schema.require(manifest, "galaxy_id", "cutout_path", where=path)
    base = root or (path.rstrip("/").rpartition("/")[0] if is_s3(path) else str(Path(path).parent))

    def read(rows: Sequence[int]) -> NDArray[np.float32]:
        return by_manifest.Cutouts(manifest.take(rows), base).read(range(len(rows)))

    return Source(manifest, read, survey_of(chain_of(manifest, path)))


def _holds_npz(path: str) -> bool:
    return Path(path).is_dir() and any(Path(path).glob("*.npz"))


def _npz_source(path: str) -> Source:
    import pyarrow as pa

    files = by_manifest.npz_files(path) if Path(path).is_dir() else [Path(path)]
    table = pa.table({"galaxy_id": [file.stem for file in files]})
    chain = by_manifest.carried_chain(npz.read_npz(files[0]), files[0])[1]

    def read(rows: Sequence[int]) -> NDArray[np.float32]:
        images = [npz.read_npz(files[row]).cutout for row in rows]
        if len({image.shape for image in images}) > 1:
            raise InputError(f"{path}: cutouts have different sizes", "select some with --ids")
        return np.stack(images)

    return Source(table, read, survey_of(chain))


def choose(
    source: Source,
    conditions: Sequence[str],
    n: int,
    *,
    where: str = "",
    ids: Sequence[str] = (),
    order: str = "",
    label: Sequence[str] = ("galaxy_id",),
) -> list[Strip]:
    """Up to `n` cutouts for each condition, in the order of the table.

    A store of injections has arcs alone for its first rows: these are drawn without their arcs, as arcs and whole.

    Parameters
    ----------
    conditions : sequence of str
        SQL over the table's columns, each as `condition` or `heading: condition`; an empty one selects all.
    where : str
        SQL condition that applies to all.
    ids : sequence of str
        Draw these galaxies, in this order, instead.
    order : str
        SQL to order by.
    label : sequence of str
        Columns to write below each cutout; the status is added if it is not ok.

    Raises
    ------
    InputError
        Invalid SQL, a missing galaxy or column, an injection whose arcs were not kept, or nothing to draw.
    """
    table = source.table if source.arcs is None else source.table.slice(0, ARCS_KEPT)
    if label:
        schema.require(table, *label)
    if ids:
        number = {id: row for row, id in enumerate(table["galaxy_id"].to_pylist())}
        missing = [id for id in ids if id not in number]
        if missing:
            few = f" among the first {ARCS_KEPT}, whose arcs are kept" if source.arcs is not None else ""
            raise InputError(f"no galaxy {', '.join(missing[:5])} in the table{few}", "check --ids")
        chosen = [("", [number[id] for id in ids])]
    else:
        chosen = []
        for condition in conditions or [""]:
            headed = _HEADED.fullmatch(condition)
            heading, rule = (headed[1].strip(), headed[2]) if headed else (condition, condition)
            heading = heading if len(conditions) > 1 or headed else ""
            both = " AND ".join(f"({part})" for part in (rule, where) if part)
            chosen.append((heading, sql.rows_that(table, both, order)[:n]))
    if not any(rows for _, rows in chosen):
        raise InputError("no cutout meets the conditions", "see its contents with `lensctl show`")
    return [_strip(source, heading, rows, _labels(table, rows, label)) for heading, rows in chosen if rows]


def _strip(source: Source, heading: str, rows: Sequence[int], labels: list[list[str]]) -> Strip:
    images = source.read(rows)
    if source.arcs is None:
        return Strip(heading, images, labels, source.survey)
    arcs = source.arcs(rows)
    pictures = np.stack([images - arcs, arcs, images], axis=1)
    below = [text for label in labels for text in (*([name] for name in PICTURES), label)]
    return Strip(heading, pictures.reshape(-1, *images.shape[1:]), below, source.survey, len(PICTURES) + 1)


def _labels(table: pa.Table, rows: Sequence[int], columns: Sequence[str]) -> list[list[str]]:
    few = table.take(rows)
    texts = [[_text(value) for value in few[name].to_pylist()] for name in columns]
    status = few["status"].to_pylist() if "status" in few.column_names and "status" not in columns else []
    lines = [list(text) for text in zip(*texts, strict=True)] if texts else [[] for _ in rows]
    for line, state in zip(lines, status, strict=False):
        if state not in (None, "ok"):
            line.append(state)
    return lines


def _text(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def draw(strips: Sequence[Strip], columns: int | None = None) -> bytes:
    """Draw a montage as PNG, byte-identical for the same cutouts.

    Parameters
    ----------
    strips : sequence of Strip
        Each begins a new row.
    columns : int, optional
        Cutouts per row; by default at most 8. Those of one galaxy stay together.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = columns or min(COLUMNS, max(len(strip.images) for strip in strips))
    together = max(strip.together for strip in strips)
    columns = max(columns // together, 1) * together
    size = max(strip.images.shape[1] for strip in strips)
    zoom = max(1, min(MOST_ZOOM, WIDTH_PX // (columns * (size + GAP_PX))))
    cell = size * zoom
    lines = max((len(label) for strip in strips for label in strip.labels), default=0)
    step_x, step_y = cell + GAP_PX, cell + GAP_PX + lines * LINE_PX
    heights = [HEADING_PX * bool(strip.heading) + step_y * -(-len(strip.images) // columns) for strip in strips]
    width, height = columns * step_x + GAP_PX, sum(heights) + GAP_PX
    canvas = np.full((height, width, 3), 255, np.uint8)
    texts: list[tuple[float, float, str, dict[str, Any]]] = []
    top = GAP_PX
    for strip, used in zip(strips, heights, strict=True):
        start = top
        if strip.heading:
            style: dict[str, Any] = {"size": _points(HEADING_TEXT_PX), "weight": "bold", "va": "center"}
            texts.append((GAP_PX, start + HEADING_PX / 2 - 2, strip.heading, style))
            start += HEADING_PX
        pictures = lupton_rgb(strip.images, strip.survey)[:, ::-1]  # row 0 is south: turn north up
        for i, (picture, label) in enumerate(zip(pictures, strip.labels, strict=True)):
            y, x = start + i // columns * step_y, GAP_PX + i % columns * step_x
            large = picture.repeat(zoom, axis=0).repeat(zoom, axis=1)
            canvas[y : y + large.shape[0], x : x + large.shape[1]] = large
            for k, line in enumerate(label):
                style = {"size": _points(TEXT_PX), "family": "monospace", "va": "center", "ha": "center"}
                texts.append((x + cell / 2, y + cell + (k + 0.5) * LINE_PX + 1, _fitted(line, cell), style))
        top += used
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    FigureCanvasAgg(figure)
    figure.figimage(canvas, origin="upper")
    for x, y, text, style in texts:
        figure.text(x / width, 1 - y / height, text, color="#222222", parse_math=False, **style)
    buffer = io.BytesIO()
    metadata: Any = {"Software": None}
    figure.savefig(buffer, format="png", dpi=DPI, metadata=metadata)
    return buffer.getvalue()


def _points(pixels: float) -> float:
    return pixels * 72 / DPI


def _fitted(text: str, width_px: int) -> str:
    """Text truncated to a width, for monospace characters 0.602 of the font size wide."""
    length = int(width_px / (0.602 * TEXT_PX))
    return text if len(text) <= length else text[: length - 1] + "…"
