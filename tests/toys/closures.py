"""Folders of a selection function with a closure alone, as `gate selection` reads them."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa

from lensctl.io.provenance import digests
from lensctl.io.tables.files import write_table

SETS = ("A+B", "A", "B", "obs_snr_g below its median", "obs_snr_g above its median")


def row(lenses: str, n: int = 300, difference: float | None = 0.01, standard_error: float = 0.03) -> dict[str, object]:
    """One set of lenses at one threshold; nothing to compare where `difference` is None."""
    known = difference is not None
    return {
        "lenses": lenses,
        "threshold": "fpr=0.01",
        "n": n,
        "pixels": n,
        "unobserved": 0,
        "outside": 4,
        "recall": 0.6 if known else None,
        "p_mean": 0.6 - difference if known else None,
        "difference": difference,
        "standard_error": standard_error if known else None,
    }


def make(folder: Path, exploratory: bool = False, **changed: dict[str, object]) -> Path:
    """Write a folder whose five sets close, but for what is changed by name (`all` for every set)."""
    (folder / "tables").mkdir(parents=True)
    rows = [row(name, **{**changed.get("all", {}), **changed.get(name, {})}) for name in SETS]
    table = pa.Table.from_pylist(rows)
    write_table(table, str(folder / "tables" / "closure.parquet"))
    facts = {"exploratory": exploratory, "tables": {"closure": {"rows": 5, "digest": digests.of_table(table)}}}
    (folder / "selection.json").write_text(json.dumps(facts))
    return folder
