"""Folders of a selection function: as fitted, and attached to its frozen model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lensctl.frozen import layout
from lensctl.frozen.selection_folder import FACTS, read_selection
from lensctl.io.provenance.steps import from_list
from lensctl.show.description import Description, Rows
from lensctl.show.files import lines_facts
from lensctl.show.folders import read_json


def selection_facts(folder: Path) -> Description:
    """A selection function, as described by its selection.json."""
    found = read_selection(folder)
    facts = found.facts
    rows = facts.get("rows") or {}
    values = {
        "model": facts.get("model"),
        "exploratory": facts.get("exploratory"),
        "mock": facts.get("mock"),
        "note": facts.get("note") or None,
        "injections": rows.get("injections"),
        "usable": rows.get("usable"),
        "hosts": rows.get("hosts"),
        "axes": ", ".join(map(str, facts.get("axes") or [])),
        "model_digest": facts.get("model_digest"),
        "digest": found.digest,
    }
    listings = [_thresholds(facts.get("thresholds") or []), _closure(facts.get("closure") or [])]
    chain = from_list(facts.get("provenance") or [], str(folder / FACTS))
    return Description("selection function", values, listings, {"tables": sorted(facts.get("tables") or {})}, chain)


def attachment_facts(folder: Path) -> Description:
    """A selection function attached to a frozen model, as described by its own files; `lensctl verify` checks them."""
    facts = read_json(folder / layout.ATTACHMENT)
    names = ("level", "model", "mock", "model_digest", "frozen_digest", "selection_digest")
    values = {
        **{name: facts.get(name) for name in names},
        "signed": (folder / layout.SIGNATURE).is_file(),
        "files": len(facts.get("files") or {}) + 2,
    }
    points = list((facts.get("thresholds") or {}).items())
    listings = [Rows("Thresholds", ("name", "logit"), points)]
    if gates := lines_facts(str(folder / layout.GATES)):
        listings += gates.listings
    chain = from_list(facts.get("provenance") or [], str(folder / layout.ATTACHMENT))
    return Description("selection function of a frozen model", values, listings, {"names": list(facts["files"])}, chain)


def _thresholds(points: list[dict[str, Any]]) -> Rows:
    rows = []
    for point in points:
        fit, box = point.get("fit") or {}, point.get("box_mean") or {}
        rows.append((point.get("name"), point.get("logit"), fit.get("rows"), fit.get("detected"), box.get("value")))
    return Rows("Thresholds", ("name", "logit", "injections", "detected", "share of the box"), rows)


def _closure(sets: list[dict[str, Any]]) -> Rows:
    names = ("threshold", "lenses", "n", "recall", "p_mean", "difference", "standard_error")
    columns = ("threshold", "lenses", "n", "recall", "mean p_det", "difference", "standard error")
    return Rows("Closure on real lenses", columns, [tuple(one.get(name) for name in names) for one in sets])
