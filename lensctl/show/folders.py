"""Folders: a run, an evaluation, a frozen model, a mock sky, an unfinished output, a Zarr group, or other files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lensctl.io.provenance.steps import from_json, from_list
from lensctl.io.tables.files import read_table
from lensctl.io.tables.paths import files_of, readable
from lensctl.rules.config import json_value
from lensctl.rules.errors import InputError, shortened
from lensctl.show.description import Description, Rows, in_words


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; InputError if there is none."""
    try:
        found = json_value(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})", "is the file complete?") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: not written by lensctl", "name a folder made by lensctl")
    return found


def run_facts(folder: Path) -> Description:
    """A training run."""
    run = read_json(folder / "run.json")
    model = run.get("model") or {}
    members = run.get("members") or [run]
    values = {
        "arch": model.get("arch"),
        "crop_px": model.get("crop"),
        "members": len(members),
        "epochs": max((member.get("epochs") or 0 for member in members), default=0),
        "best_epoch": [member.get("best_epoch") for member in members] if run.get("members") else run.get("best_epoch"),
        "finished": bool(run.get("stopped")),
        "stopped": run.get("stopped"),
        "model_digest": run.get("model_digest"),
        "manifest_digest": run.get("manifest_digest"),
        "val_scores": (run.get("val_scores") or {}).get("rows"),
        "warnings": [text for member in members for text in member.get("warnings") or []],
    }
    best = [(i, *pair) for i, member in enumerate(members) for pair in _numbers(member.get("metrics"))]
    listings = [
        Rows("Best epoch", ("member", "metric", "value"), best),
        Rows("Config", ("setting", "value"), [(k, _text(v)) for k, v in (run.get("config") or {}).items()]),
    ]
    chain = from_list(run.get("provenance") or [], str(folder / "run.json"))
    details = {"metrics": [member.get("metrics") for member in members], "config": run.get("config")}
    return Description("run", values, listings, details, chain)


def evaluation_facts(folder: Path) -> Description:
    """An evaluation."""
    metrics = read_json(folder / "metrics.json")
    values = {
        "mock": metrics.get("mock"),
        "note": metrics.get("note") or None,
        "scores_digest": metrics.get("scores_digest"),
        "manifest_digest": metrics.get("manifest_digest"),
        "model_digest": metrics.get("model_digest"),
        "levels": ", ".join(f"{level} {_verdict(judged)}" for level, judged in (metrics.get("levels") or {}).items()),
        "report": "report.html" if (folder / "report.html").is_file() else None,
    }
    chain = from_list(metrics.get("provenance") or [], str(folder / "metrics.json"))
    details = {"headline": metrics.get("headline"), "levels": metrics.get("levels"), "rows": metrics.get("rows")}
    return Description("evaluation", values, [_headline(metrics)], details, chain)


def _verdict(judged: Mapping[str, Any]) -> str:
    """The word of a level; evaluations of 0.1.0 said only whether its values met the limits."""
    if "verdict" in judged:
        return str(judged["verdict"])
    return f"{'met' if judged.get('passed') else 'not met'} by its values"


def _headline(metrics: Mapping[str, Any]) -> Rows:
    rows = []
    for name, value in (metrics.get("headline") or {}).items():
        if isinstance(value, Mapping) and "value" in value:
            judged = value.get("excess") or value
            shown = f"excess of {name}" if value.get("excess") else name
            remark = judged.get("text") or judged.get("why") or ("fewer than 10 events" if judged.get("few") else None)
            rows.append((shown, *(judged.get(key) for key in ("value", "low", "high", "n")), remark))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            rows.append((name, value, None, None, None, None))
    return Rows("Headline metrics, from split=test", ("metric", "value", "low", "high", "n", "remark"), rows)


def search_facts(folder: Path) -> Description:
    """A search."""
    found = read_json(folder / "search.json")
    rows, area, candidates = (found.get(name) or {} for name in ("rows", "area", "candidates"))
    values = {
        "mock": found.get("mock"),
        "note": found.get("note") or None,
        "model_digest": found.get("model_digest"),
        "searched": rows.get("searched"),
        "scored": rows.get("scored"),
        "lost": rows.get("lost"),
        "searched_deg2": area.get("searched_deg2"),
        "candidates": candidates.get("rows"),
        "systems": candidates.get("systems"),
        "report": "report.html" if (folder / "report.html").is_file() else None,
    }
    points = [
        (point.get("name"), point.get("logit"), point.get("rows"), (point.get("per_deg2") or {}).get("value"))
        for point in found.get("thresholds") or []
    ]
    fates = (found.get("known_lenses") or {}).get("fates") or []
    listings = [
        Rows("Rows by status", ("status", "rows"), sorted((rows.get("status") or {}).items())),
        Rows("Rows above each threshold", ("threshold", "logit", "rows", "per square degree"), points),
        Rows(
            "Known lenses", ("tier", "fate", "lenses"), [(f.get("tier"), f.get("fate"), f.get("lenses")) for f in fates]
        ),
    ]
    chain = from_list(found.get("provenance") or [], str(folder / "search.json"))
    details = {name: found.get(name) for name in ("area", "thresholds", "known_lenses", "funnel")}
    return Description("search", values, listings, details, chain)


def frozen_facts(folder: Path) -> Description:
    """A frozen model, as described by its own files; `lensctl verify` checks them."""
    frozen = read_json(folder / "frozen.json")
    thresholds = read_json(folder / "thresholds.json")
    model, taken = frozen.get("model") or {}, frozen.get("input") or {}
    values = {
        "arch": model.get("arch"),
        "members": model.get("members"),
        "input": " x ".join(map(str, taken.get("shape") or ())) + f" {taken.get('unit', '')}",
        "mock": frozen.get("mock"),
        "model_digest": frozen.get("model_digest"),
        "manifest_digest": frozen.get("manifest_digest"),
        "pool_digest": frozen.get("pool_digest"),
        "gates_let_pass": (frozen.get("allowed_failures") or {}).get("gates") or None,
        "files": len(frozen.get("files") or {}) + 2,
    }
    names = ("name", "target_fpr", "logit", "p", "fpr_low", "fpr_high", "text")
    points = [tuple(point.get(name) for name in names) for point in thresholds.get("points") or []]
    columns = ("name", "target fpr", "logit", "p", "fpr low", "fpr high", "remark")
    listings = [Rows("Thresholds, from split=val", columns, points)]
    if (folder / "metrics.json").is_file():
        listings.append(_headline(read_json(folder / "metrics.json")))
    text = (folder / "provenance.json").read_text(encoding="utf-8") if (folder / "provenance.json").is_file() else "[]"
    details = {
        "thresholds": thresholds.get("points"),
        "versions": frozen.get("versions"),
        "names": list(frozen["files"]),
    }
    return Description("frozen model", values, listings, details, from_json(text, str(folder / "provenance.json")))


def sky_facts(folder: Path) -> Description:
    """A mock survey."""

    chain = from_json((folder / "provenance.json").read_text(encoding="utf-8"), str(folder))
    truth = read_table(str(folder / "truth.parquet"), columns=["kind", "split"])
    kinds = Counter(zip(truth["kind"].to_pylist(), truth["split"].to_pylist(), strict=True))
    splits = ("train", "val", "test")
    rows = [(kind, *(kinds[kind, split] for split in splits)) for kind in sorted({kind for kind, _ in kinds})]
    coadds = sorted(folder.glob("*/coadd/*/*/*.fits.fz"))
    values = {
        "mock": True,
        "bricks": len({file.parent.name for file in coadds}),
        "coadds": len(coadds),
        "tractor_catalogues": len(list(folder.glob("*/tractor/*/*.fits"))),
        "sweeps": len(list(folder.glob("*/sweep/*/*.fits"))),
        "objects": truth.num_rows,
        "bytes": sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
    }
    listings = [Rows("Contents by split", ("kind", *splits), rows)]
    counts = [{"kind": kind, "split": split, "objects": n} for (kind, split), n in sorted(kinds.items())]
    return Description("mock sky", values, listings, {"counts": counts}, chain)


def zarr_facts(folder: Path) -> Description:
    """A Zarr group or array not made by lensctl."""
    found = read_json(folder / "zarr.json")
    values = {
        "node": found.get("node_type"),
        "zarr_format": found.get("zarr_format"),
        "shape": found.get("shape"),
        "data_type": found.get("data_type"),
        "members": sorted(p.parent.name for p in folder.glob("*/zarr.json")),
    }
    rows = [(key, _text(value)) for key, value in (found.get("attributes") or {}).items()]
    return Description(
        "Zarr", values, [Rows("Attributes", ("name", "value"), rows)], {"attributes": found.get("attributes")}
    )


def unfinished_facts(folder: Path) -> Description:
    """The work folder of a command that is running or was interrupted."""
    job = read_json(folder / "job.json")
    step = job.get("step") if isinstance(job.get("step"), dict) else job
    names = sorted(path.name for path in folder.iterdir() if path.name != "job.json")
    made_by = (step or {}).get("command")
    values = {"command": made_by, "becomes": folder.name.removeprefix(".").removesuffix(".part"), "parts": len(names)}
    note = "rerun the command to finish it"
    return Description("unfinished output", {**values, "note": note}, details={"job": job, "names": names})


def unlike_tables(folder: Path) -> Description | None:
    """The parquet files of a folder, where they are not one table: their columns differ. None where they are."""
    import pyarrow.parquet as pq

    files = files_of(str(folder))
    with readable(str(folder)):
        footers = [pq.read_metadata(file) for file in files]
    if len({frozenset(footer.schema.to_arrow_schema().names) for footer in footers}) == 1:
        return None
    rows = [
        (str(Path(file).relative_to(folder)), footer.num_rows, footer.num_columns)
        for file, footer in zip(files, footers, strict=True)
    ]
    columns = ("file", "rows", "columns")
    note = "its tables have other columns each: name one of them"
    details = {"tables": [dict(zip(columns, row, strict=True)) for row in rows]}
    return Description("folder", {"tables": len(rows), "note": note}, [Rows("Tables", columns, rows)], details)


def other_facts(folder: Path) -> Description:
    """Brief description of any folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    endings = Counter("".join(path.suffixes[-2:]) or "(none)" for path in files)
    sizes = Counter[str]()
    for path in files:
        sizes["".join(path.suffixes[-2:]) or "(none)"] += path.stat().st_size
    rows = [(ending, count, sizes[ending]) for ending, count in endings.most_common(20)]
    listings = [Rows("By suffix", ("suffix", "files", "bytes"), rows)]
    return Description(
        "folder", {"files": len(files), "bytes": sum(sizes.values())}, listings, {"endings": dict(endings)}
    )


def _numbers(metrics: Any) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in (metrics or {}).items() if isinstance(value, int | float)]


def _text(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else in_words(value)
    return shortened(text, 100)
