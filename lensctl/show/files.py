"""Files that are neither tables nor cutouts: FITS, gate results, JSON, weights, and unknown files."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lensctl.frozen.gate_results import read_gate_results
from lensctl.io.fits.header import BLOCK, CARD, MOST_AXES, Header, count_of, data_bytes, read_header
from lensctl.io.fits.table_columns import MOST_COLUMNS
from lensctl.io.fits.tables import PROVENANCE, fits_errors
from lensctl.io.provenance.steps import Chain, from_json, from_list
from lensctl.rules.config import json_value
from lensctl.rules.errors import InputError, shortened
from lensctl.show.description import Description, Rows

TELLING = (
    "SURVEY", "VERSION", "RELEASE", "MOCK", "BRICKNAME", "BRICK", "BAND", "FILTER", "BANDS", "IMTYPE", "IMAGETYP",
    "LAYER", "BUNIT", "CTYPE1", "CTYPE2", "CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2", "CD1_1", "CD1_2", "CD2_1", "CD2_2",
)  # fmt: skip
"""Header cards that identify a FITS file."""
FIRST_LINES = 5
LONGEST_LINE = 160
VERDICTS = {(True, True): "yes", (False, True): "NO", (True, False): "–", (False, False): "NO"}
"""Of a gate's line, by whether it passed and has a limit; a dash of one that is only reported."""


def fits_facts(path: str) -> Description:
    """The HDUs of a FITS file, its identifying cards, and the columns of its tables."""
    with fits_errors(path):
        return _fits_facts(path)


def _fits_facts(path: str) -> Description:
    rows, columns = [], []
    cards: dict[str, Any] = {}
    chain: Chain = ()
    for number, (header, whole) in enumerate(_hdus(path)):
        if not whole:
            raise InputError(f"{path}: HDU {number} is cut short", "download it again")
        rows.append((number, str(header.get("EXTNAME", "")), *_shape(header)))
        cards |= {name: header[name] for name in TELLING if name in header and name not in cards}
        if PROVENANCE in header:
            chain = from_json(str(header[PROVENANCE]), path)
        if rows[-1][2] == "table":
            columns += [
                (number, *(str(header.get(f"{card}{i}", "")) for card in ("TTYPE", "TFORM", "TUNIT")))
                for i in range(1, min(count_of(header, "TFIELDS", 0), MOST_COLUMNS) + 1)
            ]
    values = {"hdus": len(rows), "bytes": Path(path).stat().st_size, **cards}
    listings = [Rows("HDUs", ("hdu", "name", "kind", "shape", "tiles"), rows)]
    if columns:
        listings.append(Rows("Columns", ("hdu", "column", "format", "unit"), columns))
    names = ("hdu", "name", "kind", "shape", "tiles")
    details = {
        "hdu": [dict(zip(names, row, strict=True)) for row in rows],
        "columns": [dict(zip(("hdu", "name", "format", "unit"), row, strict=True)) for row in columns],
    }
    kinds = {row[2] for row in rows}
    return Description(
        "FITS image" if "image" in kinds else "FITS table" if "table" in kinds else "FITS file",
        values,
        listings,
        details,
        chain,
    )


def _hdus(path: str) -> Iterator[tuple[Header, bool]]:
    """The headers of a FITS file, and whether the data that follow each are complete."""
    opened: Any = gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb")  # noqa: SIM115
    with opened as file:
        start, end = 0, file.seek(0, io.SEEK_END)
        while start < end:
            file.seek(start)
            if start and not file.read(CARD).startswith(b"XTENSION"):
                return  # special records may follow the last HDU
            file.seek(start)
            header, length = read_header(file)
            data = data_bytes(header)
            yield header, start + length + data <= end
            start += length + -(-data // BLOCK) * BLOCK


def _shape(header: Header) -> tuple[str, str, str]:
    """Kind, shape and tiles of an HDU."""
    if header.get("ZIMAGE") is True:
        axes = range(min(count_of(header, "ZNAXIS"), MOST_AXES), 0, -1)
        tiles = " × ".join(str(header.get(f"ZTILE{axis}", "")) for axis in axes)
        return (
            "image",
            " × ".join(str(header[f"ZNAXIS{axis}"]) for axis in axes),
            f"{header.get('ZCMPTYPE', '')} {tiles}",
        )
    if str(header.get("XTENSION", "")).strip() in ("BINTABLE", "TABLE"):
        return "table", f"{count_of(header, 'NAXIS2'):,} rows, {header.get('TFIELDS', 0)} columns", ""
    axes = range(min(count_of(header, "NAXIS", 0), MOST_AXES), 0, -1)
    shape = " × ".join(str(header[f"NAXIS{axis}"]) for axis in axes)
    return ("image", f"{shape}, {header['BITPIX']} bit", "") if shape else ("empty", "", "")


def lines_facts(path: str) -> Description | None:
    """Gate results if the file holds some; else None."""
    try:
        lines = read_gate_results(Path(path))
    except InputError:
        return None
    failed = sum(not line["passed"] for line in lines)
    judged = sum(bool(line["limit"]) for line in lines)
    rows = [
        (
            line["gate"],
            line["check"],
            VERDICTS[line["passed"], bool(line["limit"])],
            line["value"],
            line["limit"],
            line["n"],
        )
        for line in lines
    ]
    values = {"lines": len(lines), "passed": judged - failed, "failed": failed, "reported only": len(lines) - judged}
    columns = ("gate", "check", "passed", "value", "limit", "n")
    return Description("gate lines", values, [Rows("Checks", columns, rows)], {"checks": lines})


def json_facts(path: str) -> Description:
    """A JSON file: a provenance chain, or its keys."""
    try:
        found = json_value(Path(path).read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid JSON ({error})", "is the file complete?") from error
    if isinstance(found, list) and found and isinstance(found[0], dict) and {"id", "command"} <= found[0].keys():
        chain = from_list(found, path)
        return Description("provenance chain", {"steps": len(chain), "made_by": chain[-1].command}, chain=chain)
    if isinstance(found, dict):
        rows = [(key, type(value).__name__, _brief(value)) for key, value in found.items()]
        chain = from_list(found["provenance"], path) if isinstance(found.get("provenance"), list) else ()
        return Description(
            "JSON",
            {"keys": len(found)},
            [Rows("Keys", ("key", "type", "value"), rows)],
            {"names": list(found)},
            chain,
        )
    return Description("JSON", {"type": type(found).__name__, "values": len(found) if isinstance(found, list) else 1})


def weights_facts(path: str) -> Description:
    """A safetensors file: its tensors and notes, from the header only."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            names = list(file.keys())
            shapes = [(name, file.get_slice(name).get_dtype(), file.get_slice(name).get_shape()) for name in names]
            notes = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: cannot be read as safetensors ({error})", "is the file complete?") from error
    total = 0
    for _, _, shape in shapes:
        count = 1
        for side in shape:
            count *= side
        total += count
    rows = [(name, dtype, " × ".join(map(str, shape))) for name, dtype, shape in shapes]
    values = {"tensors": len(rows), "values": total, "bytes": Path(path).stat().st_size}
    return Description(
        "weights (safetensors)", values, [Rows("Tensors", ("name", "dtype", "shape"), rows)], {"notes": notes}
    )


def other_facts(path: str) -> Description:
    """Brief description of an unknown file."""
    size = Path(path).stat().st_size
    with open(path, "rb") as file:
        begin = file.read(1 << 16)
    try:
        text = begin.decode("utf-8", errors="strict" if size <= len(begin) else "ignore")
    except UnicodeDecodeError:
        text = "\0"
    if not size:
        return Description("empty file", {"bytes": 0})
    if "\0" in text:
        return Description("binary file", {"bytes": size, "begins_with": begin[:16].hex(" ")})
    with open(path, "rb") as file:
        lines = sum(1 for _ in file)
    rows = [
        (number, shortened(line, LONGEST_LINE)) for number, line in enumerate(text.splitlines()[:FIRST_LINES], start=1)
    ]
    return Description("text", {"bytes": size, "lines": lines}, [Rows("First lines", ("line", "text"), rows)])


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else text[:99] + "…"
