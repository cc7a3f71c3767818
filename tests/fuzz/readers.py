"""Every reader of lensctl: what it reads, and the command or function that reads it."""

from __future__ import annotations

from tests.fuzz.mutations import damaged_json, damaged_lines, damaged_yaml
from tests.fuzz.reader import (
    Reader,
    emr_logs,
    emr_record,
    exported,
    from_s3,
    grades,
    note_sizes,
    reseal,
    reseal_attachment,
    selection_facts,
    suspects,
    thresholds_of,
    torch_weights,
    uniform,
    zip_members,
)

FILES, PARQUET, SQL, SWEEPS = "io/tables/files.py", "io/unpacking.py", "io/tables/sql.py", "io/tables/sweeps.py"
FITS = ("io/fits/tables.py", "io/fits/header.py", "io/fits/table_columns.py")
COADD = ("io/fits/tiles.py", "io/fits/rice.py", "io/fits/header.py", "io/imaging/brick_reader.py")
STORE = ("io/cutouts/store.py", "io/cutouts/arrays.py")
NPZ = ("io/cutouts/npz.py", "io/cutouts/npz_metadata.py")
CHECKPOINT, STEPS, SHOW = "learning/networks/checkpoint.py", "io/provenance/steps.py", "show/folders.py"
POOL = "--lenses lenses.csv --workers 1"
CUT = "cutout objects.parquet out.zarr --size 9 --workers 1"
HANDED = "cutout handed.parquet out.zarr --source fits --root handed --size 9 --workers 1"
SCORED = "s.zarr"
SEARCH = "search frozen objects.parquet found --root fz --max-empty 1 --workers 1 --device cpu --keep 2"
SEARCHED = SEARCH.replace(" found ", " begun-search ")
IMAGE = "south/coadd/150/1500p020/legacysurvey-1500p020-image-r.fits"

READERS = {
    "parquet": Reader("t.parquet", "show t.parquet --json", (FILES, PARQUET, "io/tables/parquet.py", "show/tables.py")),
    "parquet, small": Reader("small_t.parquet", "show small_t.parquet --json", (PARQUET,)),
    "parquet in SQL": Reader(
        "pool.parquet", "sample pool.parquet out.parquet --positives positives.parquet", (SQL, "io/tables/scanned.py")
    ),
    "parquet as positives": Reader(
        "positives.parquet", "sample pool.parquet out.parquet --positives positives.parquet", (SQL,)
    ),
    "parquet as sweep": Reader("sweep.parquet", f"pool sweep.parquet out.parquet {POOL}", (SWEEPS,)),
    "parquet from S3": Reader("bucket/t.parquet", from_s3("t.parquet"), ("io/storage/s3.py",)),
    "arrow": Reader("t.arrow", "show t.arrow --json", (FILES,)),
    "arrow, small": Reader("small_t.arrow", "show small_t.arrow --json", (FILES,)),
    "arrow file": Reader("file.arrow", "show file.arrow --json", (FILES,)),
    "arrow in SQL": Reader("pool.arrow", "sample pool.arrow out.parquet --positives positives.parquet", (SQL,)),
    "arrow as sweep": Reader("sweep.arrow", f"pool sweep.arrow out.parquet {POOL}", (SWEEPS,)),
    "arrow from S3": Reader("bucket/t.arrow", from_s3("t.arrow"), ("io/storage/s3.py",)),
    "csv": Reader("t.csv", "show t.csv --json", (FILES, "io/tables/csv_dress.py")),
    "csv.gz": Reader("t.csv.gz", "show t.csv.gz --json", ("io/tables/csv_dress.py",)),
    "csv, UTF-16": Reader("wide.csv", "show wide.csv --json", ("io/tables/csv_dress.py",)),
    "tsv": Reader("t.tsv", "show t.tsv --json", (FILES,)),
    "ndjson": Reader("t.ndjson", "show t.ndjson --json", (FILES,), mutate=damaged_lines),
    "vot": Reader("t.vot", "show t.vot --json", ("io/tables/astropy_tables.py",)),
    "ecsv": Reader("t.ecsv", "show t.ecsv --json", ("io/tables/astropy_tables.py",)),
    "HATS": Reader(
        "hats/dataset/Norder=0/Dir=0/Npix=4.parquet", "show hats --json", (FILES, "io/tables/parquet.py"), needs="hats"
    ),
    "lenses": Reader("lenses.csv", f"pool sweep.fits out.parquet {POOL}", ("io/tables/lens_catalogs.py",)),
    "fits": Reader("t.fits", "pool sweep.fits out.parquet --lenses t.fits --workers 1", (FILES, *FITS)),
    "fits shown": Reader("sweep.fits", "show sweep.fits --json", ("show/files.py",)),
    "fits as sweep": Reader("sweep.fits", f"pool sweep.fits out.parquet {POOL}", (SWEEPS, *FITS)),
    "fits.gz as sweep": Reader("sweep.fits.gz", f"pool sweep.fits.gz out.parquet {POOL}", FITS),
    "fits.fz as sweep": Reader(
        "sweep.fits.fz", f"pool sweep.fits.fz out.parquet {POOL}", ("io/fits/packed_tables.py",)
    ),
    "fits as Tractor": Reader(
        "sweep.fits", "crossmatch lenses.csv sweep.fits out.parquet --workers 1 --name-contains L", (SWEEPS,)
    ),
    "bricks": Reader(
        "bricks.fits.gz", f"{CUT} --root fz --dry-run --survey-bricks bricks.fits.gz", ("io/imaging/bricks.py",)
    ),
    "coadd.fz": Reader(f"fz/{IMAGE}.fz", f"{CUT} --root fz", (*COADD, "io/imaging/local_bricks.py")),
    "coadd": Reader(f"plain/{IMAGE}", f"{CUT} --root plain", COADD),
    "coadd.gz": Reader(f"gz/{IMAGE}.gz", f"{CUT} --root gz", ("io/imaging/local_bricks.py",)),
    "maskbits": Reader(f"fz/{IMAGE.replace('image-r', 'maskbits')}.fz", f"{CUT} --root fz --planes maskbits", COADD),
    "coadd, remote": Reader(
        f"fz/{IMAGE}.fz",
        f"{CUT} --root http://127.0.0.1:PORT/fz --tries 1",
        ("io/imaging/remote_bricks.py",),
        needs="fz",
    ),
    "root's provenance": Reader("fz/provenance.json", f"{CUT} --root fz", (STEPS,), mutate=damaged_json),
    "answer": Reader(
        "answer.fits",
        "cutout object.parquet out.zarr --url http://127.0.0.1:PORT --size 11 --tries 1",
        ("io/imaging/viewer_response.py",),
    ),
    "FITS cutout": Reader("handed/1.fits", HANDED, ("io/cutouts/fits_file.py", "io/imaging/fits_cutouts.py")),
    "FITS cutout, compressed": Reader("handed/2.fits", HANDED, ("io/cutouts/fits_file.py",)),
    "store": Reader("plain.zarr/zarr.json", "export plain.zarr out --workers 1", STORE, mutate=damaged_json),
    "store's images": Reader(
        "plain.zarr/images/zarr.json", "export plain.zarr out --workers 1", STORE, mutate=damaged_json
    ),
    "store's index": Reader("plain.zarr/index.parquet", "export plain.zarr out --workers 1", STORE),
    "store's index, packed": Reader(
        "packed.zarr/index.parquet", "export packed.zarr out --workers 1", ("io/cutouts/npz_columns.py",)
    ),
    "store's shard": Reader(
        "packed.zarr/images/c/0/0/0/0", "export packed.zarr out --workers 1", STORE, before=note_sizes
    ),
    "store shown": Reader(
        "plain.zarr/zarr.json", "show plain.zarr --json", ("show/identify.py", SHOW), mutate=damaged_json
    ),
    "npz": Reader("npz/0001m000_0.npz", "pack npz out.zarr --workers 1", NPZ),
    "npz, deflated": Reader("squeezed/1500p020_0.npz", "pack squeezed out.zarr --workers 1", NPZ),
    "npz shown": Reader("npz/0001m000_0.npz", "show npz/0001m000_0.npz --json", ("show/pixels.py",), needs="npz"),
    "npy": Reader("one/cutout.npy", "pack zipped out.zarr --workers 1", NPZ, before=zip_members),
    "npy scalar": Reader("one/meta_ra.npy", "pack zipped out.zarr --workers 1", NPZ, before=zip_members),
    "run.json": Reader(
        "run/run.json", "score run rows.parquet out.parquet --device cpu", (CHECKPOINT,), SCORED, damaged_json
    ),
    "run shown": Reader("run/run.json", "show run --json", (SHOW,), mutate=damaged_json),
    "weights": Reader("run/best.safetensors", "score run rows.parquet out.parquet --device cpu", (CHECKPOINT,), SCORED),
    "weights shown": Reader("run/best.safetensors", "show run/best.safetensors --json", ("show/files.py",), "run"),
    "weights of torch": Reader(
        "weights.pt", torch_weights, ("learning/torch_errors.py", "learning/networks/initial_weights.py")
    ),
    "program": Reader("program.pt2", exported, ("learning/networks/exported_program.py",)),
    "manifest": Reader("rows.parquet", "gate splits,overlap,weights,pixels rows.parquet", ("gates/inputs.py",), SCORED),
    "manifest trained on": Reader("rows.parquet", "score run rows.parquet out.parquet --device cpu", (FILES,), SCORED),
    "scores of a uniform draw": Reader("scores.parquet", uniform, ("evaluate/uniform/rows.py",), "lenses.csv"),
    "candidates": Reader("positives.parquet", suspects, ("sample/suspects.py",), "lenses.csv grades.csv"),
    "scores": Reader("scores.parquet", "evaluate scores.parquet --against scores.parquet --rounds 100", (FILES,)),
    "metrics.json": Reader(
        "evaluation/metrics.json",
        "gate trained evaluation",
        ("gates/trained.py", "gates/inputs.py"),
        mutate=damaged_json,
    ),
    "metrics shown": Reader("evaluation/metrics.json", "show evaluation --json", (SHOW,), mutate=damaged_json),
    "metrics frozen": Reader(
        "evaluation/metrics.json",
        "freeze run out --evaluation evaluation --gates gates.jsonl --allow-failed fuzz",
        ("freeze/evidence.py",),
        mutate=damaged_json,
    ),
    "gate lines": Reader(
        "gates.jsonl",
        "freeze run out --evaluation evaluation --gates gates.jsonl --allow-failed fuzz",
        ("frozen/gate_results.py",),
        mutate=damaged_lines,
    ),
    "gate lines shown": Reader("gates.jsonl", "show gates.jsonl --json", ("show/files.py",), mutate=damaged_lines),
    "frozen.json": Reader(
        "frozen/frozen.json",
        "verify frozen --device cpu",
        ("frozen/integrity.py", "frozen/proof/checks.py"),
        mutate=damaged_json,
        before=reseal,
    ),
    "frozen.json scored": Reader(
        "frozen/frozen.json",
        "score frozen rows.parquet out.parquet --device cpu",
        (CHECKPOINT,),
        SCORED,
        damaged_json,
        reseal,
    ),
    "frozen.json shown": Reader("frozen/frozen.json", "show frozen --json", (SHOW,), mutate=damaged_json),
    "search": Reader("found/search.json", SEARCH, ("search/searching.py",), "fz frozen", damaged_json),
    "search shown": Reader("found/search.json", "show found --json", (SHOW,), "found", damaged_json),
    "null of a search": Reader(
        "null.parquet", f"{SEARCH.replace(' found ', ' out ')} --null null.parquet", ("search/null.py",), "fz frozen"
    ),
    "plan of a search": Reader(
        ".begun-search.part/parts/plan-00000.json", SEARCHED, ("search/rows.py",), "fz .begun-search.part", damaged_json
    ),
    "rows of a search": Reader(
        ".begun-search.part/parts/rows-00000-00000.parquet", SEARCHED, ("search/rows.py",), "fz .begun-search.part"
    ),
    "scores of a search": Reader(
        ".begun-search.part/parts/scored-0425-00000-000000.arrow",
        SEARCHED,
        ("search/blocks.py",),
        "fz .begun-search.part",
    ),
    "SHA256SUMS": Reader("frozen/SHA256SUMS", "verify frozen --device cpu", ("frozen/layout.py",)),
    "thresholds": Reader(
        "frozen/thresholds.json",
        "verify frozen --device cpu",
        ("stats/thresholds.py",),
        mutate=damaged_json,
        before=reseal,
    ),
    "thresholds shown": Reader("frozen/thresholds.json", "show frozen --json", (SHOW,), mutate=damaged_json),
    "thresholds given": Reader(
        "frozen/thresholds.json", thresholds_of("frozen"), ("evaluate/given_thresholds.py",), "", damaged_json, reseal
    ),
    "thresholds given by an evaluation": Reader(
        "evaluation/metrics.json", thresholds_of("evaluation"), ("evaluate/given_thresholds.py",), mutate=damaged_json
    ),
    "thresholds given by a run": Reader(
        "run/run.json", thresholds_of("run"), ("evaluate/given_thresholds.py",), mutate=damaged_json
    ),
    "val scores of a run": Reader("run/val_scores.parquet", thresholds_of("run"), (FILES,)),
    "frozen provenance": Reader(
        "frozen/provenance.json", "verify frozen --device cpu", (STEPS,), mutate=damaged_json, before=reseal
    ),
    "golden": Reader(
        "frozen/golden.npz", "verify frozen --device cpu", ("learning/networks/golden.py",), before=reseal
    ),
    "frozen weights": Reader("frozen/model.safetensors", "verify frozen --device cpu", (CHECKPOINT,), before=reseal),
    "signature": Reader(
        "signed/model.sig", "verify signed --key key.pub --device cpu", ("frozen/signature.py",), mutate=damaged_json
    ),
    "key": Reader("key.pub", "verify signed --key key.pub --device cpu", ("frozen/signature.py",)),
    "config": Reader(
        "cut.yaml",
        "cutout objects.parquet out.zarr --config cut.yaml",
        ("rules/config.py", "cli/command.py"),
        "fz",
        damaged_yaml,
    ),
    "config of gates": Reader(
        "gates.yaml", "gate splits rows.parquet --config gates.yaml", ("rules/config.py",), mutate=damaged_yaml
    ),
    "survey": Reader(
        "survey.yaml",
        "sample pool.parquet out.parquet --positives positives.parquet --survey survey.yaml",
        ("rules/survey_file.py",),
        mutate=damaged_yaml,
    ),
    "selection": Reader(
        "selection.json", selection_facts, ("frozen/selection_folder.py", "selection/loading.py"), mutate=damaged_json
    ),
    "attachment": Reader(
        "attached/out/attachment.json",
        "verify attached/out --device cpu",
        ("frozen/proof/attachments.py",),
        "attached",
        damaged_json,
        reseal_attachment,
    ),
    "attached selection": Reader(
        "attached/out/selection/selection.json",
        "verify attached/out --device cpu",
        ("frozen/selection_folder.py",),
        "attached",
        damaged_json,
        reseal_attachment,
    ),
    "attachment shown": Reader(
        "attached/out/attachment.json", "show attached/out --json", ("show/selections.py",), "attached", damaged_json
    ),
    "selection shown": Reader(
        "attached/out/selection/selection.json",
        "show attached/out/selection --json",
        ("show/selections.py",),
        "attached",
        damaged_json,
    ),
    "selection attached": Reader(
        "attached/out/selection/selection.json",
        "selection attach frozen attached/out/selection out --gates attached/out/gates.jsonl",
        ("selection/attaching.py",),
        "attached",
        damaged_json,
    ),
    "frozen model attached to": Reader(
        "frozen/frozen.json",
        "selection attach frozen attached/out/selection out --gates attached/out/gates.jsonl",
        ("selection/fitting/frozen_model.py",),
        "attached",
        damaged_json,
        reseal,
    ),
    "grades": Reader("grades.csv", grades, ("io/tables/lens_catalogs.py",)),
    "ledger": Reader(
        "target/.lensctl-sync.jsonl", "sync source target", ("sync/ledger.py", "sync/disk.py"), mutate=damaged_lines
    ),
    "record of EMR": Reader("bucket/record.json", emr_record, ("emr/proof.py",), mutate=damaged_json),
    "log of EMR": Reader("bucket/logs/steps/s-1/stderr.gz", emr_logs, ("emr/step_logs.py",)),
    "note of a job": Reader(
        ".begun.zarr.part/job.json",
        "cutout objects.parquet begun.zarr --root fz --size 9 --shard-rows 2 --workers 1",
        ("io/storage/working_folders.py",),
        ".begun.zarr.part",
        damaged_json,
    ),
    "job shown": Reader(
        ".begun.zarr.part/job.json", "show .begun.zarr.part --json", (SHOW,), ".begun.zarr.part", damaged_json
    ),
    "part of a store": Reader(
        ".begun.zarr.part/parts/000000.parquet",
        "cutout objects.parquet begun.zarr --root fz --size 9 --shard-rows 2 --workers 1",
        ("io/cutouts/writer.py",),
    ),
    "note of a part": Reader(
        ".begun.parquet.part/whole/sweep.fits.json",
        f"pool sweep.fits bad.fits begun.parquet {POOL} --skip-bad 1",
        ("pool/parts.py",),
        mutate=damaged_json,
    ),
    "part of a pool": Reader(
        ".begun.parquet.part/whole/sweep.fits.arrow",
        f"pool sweep.fits bad.fits begun.parquet {POOL} --skip-bad 1",
        ("pool/parts.py",),
    ),
    "checkpoint": Reader(
        ".begun.part/whole/last.safetensors",
        "train rows.parquet begun --crop 16 --epochs 2 --batch-size 64 --device cpu --resume",
        (CHECKPOINT, "learning/training/run_folder.py"),
        SCORED,
    ),
}
"""By name: what is damaged, and how it is read."""
