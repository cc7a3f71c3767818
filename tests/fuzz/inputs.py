"""Small valid inputs of every reader of lensctl, made once in one folder; see `readers` for who reads what."""

from __future__ import annotations

import contextlib
import gzip
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import fitsio
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from lensctl.emr import wheel
from lensctl.emr.proof import Output, StepRecord
from lensctl.io.cutouts import npz_folder
from lensctl.io.cutouts.store import open_store
from lensctl.io.provenance.steps import Step, stamp, to_json
from lensctl.io.tables.files import write_table
from lensctl.learning.networks import architectures
from lensctl.search import search
from lensctl.train import train
from tests.toys import attaching, catalogs, coadds, fits_cutouts, frozen, npz_folders, pixels
from tests.toys.freezing import signed_bundle
from tests.toys.nulls import null_scores
from tests.toys.small_sky import SURVEYS
from tests.toys.viewer_server import answer

BRICK = "1500p020"
CHAIN = (Step("pool", {"made": "up"}),)


def make(folder: Path, factory: pytest.TempPathFactory) -> None:
    """Fill a folder with all inputs of the fuzz."""
    _tables(folder)
    _catalogs(folder)
    _coadds(folder)
    _cutouts(folder)
    _models(folder, factory)
    _notes(folder)
    with zipfile.ZipFile(folder / "toy.whl", "w") as archive:
        archive.writestr(wheel.LAUNCHER, "")
    with contextlib.chdir(folder):
        _journals()


def _tables(folder: Path) -> None:
    """One table in all formats, and in both of Arrow's; as a HATS catalogue; as a pool with positives."""
    table = stamp(catalogs.pool(60, 3), CHAIN)
    for name in ("t.parquet", "t.arrow", "t.csv", "t.ndjson", "t.fits", "t.vot"):
        write_table(table, str(folder / name))
    columns = ("galaxy_id", "ra", "dec", "type", "nobs_z", "flux_r")
    few = table.select(list(columns)).replace_schema_metadata()
    for name in ("t.parquet", "t.arrow"):
        write_table(few.slice(0, 12), str(folder / f"small_{name}"))
    repeated = few.set_column(3, "type", few["type"].dictionary_encode())
    repeated = repeated.append_column(
        "lists", pa.array([[1, 2], None, []] * (few.num_rows // 3) + [[]] * (few.num_rows % 3))
    )
    with pa.ipc.new_file(folder / "file.arrow", repeated.schema) as file:
        file.write_table(repeated, max_chunksize=20)
    text = (folder / "t.csv").read_bytes()
    (folder / "t.csv.gz").write_bytes(gzip.compress(text))
    (folder / "wide.csv").write_bytes(text.decode().encode("utf-16"))
    (folder / "t.tsv").write_bytes(text.replace(b",", b"\t"))
    lines = [f"{row['galaxy_id']} {row['ra']} {row['dec']}" for row in few.to_pylist()]
    kinds = "".join(
        f"# - {{name: {n}, datatype: {k}}}\n" for n, k in zip(columns, ("string", "float64", "float64"), strict=False)
    )
    (folder / "t.ecsv").write_text(
        "# %ECSV 1.0\n# ---\n# datatype:\n" + kinds + "galaxy_id ra dec\n" + "\n".join(lines)
    )
    place = folder / "hats" / "dataset" / "Norder=0" / "Dir=0"
    place.mkdir(parents=True)
    pq.write_table(few, place / "Npix=4.parquet")
    (folder / "hats" / "hats.properties").write_text("dataproduct_type=object\nhats_order=0\n")
    write_table(catalogs.pool(150, 4), str(folder / "pool.parquet"))
    write_table(catalogs.pool(150, 4), str(folder / "pool.arrow"))
    write_table(catalogs.positives(5), str(folder / "positives.parquet"))


def _catalogs(folder: Path) -> None:
    """Sweeps as FITS tables: plain, gzipped, packed; as parquet and Arrow; and a catalogue of lenses."""
    rows = catalogs.rows(60)
    catalogs.write_fits(rows, folder / "sweep.fits")
    (folder / "sweep.fits.gz").write_bytes(gzip.compress((folder / "sweep.fits").read_bytes()))
    catalogs.write_packed_fits(rows, folder / "sweep.fits.fz", 30)
    write_table(rows, str(folder / "sweep.parquet"))
    write_table(rows, str(folder / "sweep.arrow"))
    at = [(row["ra"], row["dec"]) for row in rows.slice(0, 4).to_pylist()]
    lines = "".join(f"L{i},{ra},{dec},confident,paper\n" for i, (ra, dec) in enumerate(at))
    (folder / "lenses.csv").write_text("name,RA [deg],DEC [deg],grading,ref\n" + lines)


def _coadds(folder: Path) -> None:
    """Coadds of a brick, compressed, plain and gzipped, a table of bricks, and an answer of the cutout service."""
    shape = (120, 130)
    for name, compress in (("fz", True), ("plain", False), ("gz", False)):
        coadds.make_brick(folder / name, BRICK, shape=shape, compress=compress)
    for file in sorted((folder / "gz").rglob("*.fits")):
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    coadds.make_maskbits(folder / "fz", BRICK, shape=shape)
    (folder / "fz" / "provenance.json").write_text(to_json(CHAIN))
    write_table(coadds.objects(BRICK, 3, spread_px=20), str(folder / "objects.parquet"))
    ra, dec = coadds.CENTRES[BRICK]
    data = {"BRICKNAME": np.array([BRICK], "S8"), "RA": np.array([ra]), "DEC": np.array([dec])}
    edges = {"RA1": ra - 0.125, "RA2": ra + 0.125, "DEC1": dec - 0.125, "DEC2": dec + 0.125}
    data |= {name: np.array([value]) for name, value in edges.items()}
    fitsio.write(str(folder / "bricks.fits"), data)
    (folder / "bricks.fits.gz").write_bytes(gzip.compress((folder / "bricks.fits").read_bytes()))
    write_table(coadds.objects(BRICK, 1), str(folder / "object.parquet"))
    place = coadds.objects(BRICK, 1).to_pylist()[0]
    (folder / "answer.fits").write_bytes(answer(place["ra"], place["dec"], 11, "grz", "ls-dr10", 0.262))
    (folder / "handed").mkdir()
    header = fits_cutouts.header_of(place["ra"], place["dec"], 9, 0.262)
    fits_cutouts.write_cube(folder / "handed" / "1.fits", pixels.images(1)[0], header)
    fits_cutouts.write_compressed(folder / "handed" / "2.fits", pixels.images(1)[0], header, "grz")
    handed = {"galaxy_id": ["1", "2"], "ra": [place["ra"]] * 2, "dec": [place["dec"]] * 2}
    pq.write_table(pa.table(handed), folder / "handed.parquet")


def _cutouts(folder: Path) -> None:
    """Stores, not compressed and compressed, packed with `meta_*` of all kinds; .npz files; one .npy file."""
    pixels.make_store(folder / "plain.zarr", pixels.images(10))
    metas = [{"meta_note": np.array("x"), "meta_odd": np.ones((2, 2), ">f8")}] * 10
    pixels.make_store(folder / "packed.zarr", pixels.images(10), codec="zstd", metas=metas)
    npz_folders.write_folder(folder / "npz", npz_folders.MIXED)
    npz_folder.write(open_store(folder / "plain.zarr"), folder / "squeezed", CHAIN, compress=True, processes=1)
    (folder / "one").mkdir()
    first = sorted((folder / "npz").iterdir())[0]
    with zipfile.ZipFile(first) as archive:
        archive.extractall(folder / "one")


def _models(folder: Path, factory: pytest.TempPathFactory) -> None:
    """All that `freeze` asks for, a frozen model, a signed one, weights of other makers, an exported program."""
    with frozen.tiny_network():
        bundle, signed = frozen.bundle(factory), signed_bundle(factory)
        attached = attaching.attached(factory)
    for name in ("run", "evaluation", "frozen", "s.zarr"):
        shutil.copytree(bundle / name, folder / name)
    for name in ("manifest.parquet", "scores.parquet", "gates.jsonl"):
        shutil.copy(bundle / name, folder / name)
    shutil.copytree(signed / "frozen", folder / "signed")
    shutil.copytree(attached, folder / "attached")
    shutil.copy(signed / "key.pub", folder / "key.pub")
    with frozen.tiny_network():
        network = architectures.build("resnet18", 0.0, 3)
    known = open_store(folder / "s.zarr").columns("ra", "dec")
    rows = pq.read_table(folder / "manifest.parquet").replace_schema_metadata()
    for name in known.column_names:
        rows = rows.set_column(rows.column_names.index(name), name, known[name])
    write_table(rows.slice(0, 48), str(folder / "rows.parquet"))
    torch.save(network.state_dict(), folder / "weights.pt")
    shutil.copy(folder / "frozen" / "model.pt2", folder / "program.pt2")
    ids = pq.read_table(folder / "scores.parquet")["galaxy_id"].to_pylist()
    (folder / "grades.csv").write_text("galaxy_id,grading\n" + "".join(f"{id},A\n" for id in ids[:9]))


def _notes(folder: Path) -> None:
    """Settings, a survey, and what sync and EMR keep."""
    settings = "dry-run: true\nroot: fz\nsize: 9\nplanes: maskbits\nmax-failed: 0.5\nshard_rows: 0x10\ntries: 2\n"
    (folder / "cut.yaml").write_text(settings)
    (folder / "gates.yaml").write_text("set:\n  - splits.train=0.6,0.8\n  - pool.min_rows=20\nroot: .\n")
    shutil.copy(SURVEYS / "griz.yaml", folder / "survey.yaml")
    for place in ("source", "target"):
        (folder / place).mkdir()
        for name in ("a.txt", "b.txt"):
            (folder / place / name).write_text(name)
    objects = {"/part-0.parquet": "12 etag 2026"}
    outputs = {"s3://b/out": Output("sha256:1", objects)}
    (folder / "bucket").mkdir()
    record = StepRecord("sha256:2", ["pool", "s3://b/out"], 0, {"rows": 3}, outputs)
    from dataclasses import asdict

    facts = {"thresholds": [{"name": "fpr=0.01", "logit": 2.5}], "axes": ["theta_e", "mag_z"]}
    (folder / "selection.json").write_text(json.dumps(facts))
    (folder / "bucket" / "record.json").write_text(json.dumps(asdict(record)))
    logs = folder / "bucket" / "logs" / "steps" / "s-1"
    logs.mkdir(parents=True)
    (logs / "stderr.gz").write_bytes(gzip.compress(b"a line\n" * 40))
    shutil.copy(folder / "small_t.parquet", folder / "bucket" / "t.parquet")
    shutil.copy(folder / "small_t.arrow", folder / "bucket" / "t.arrow")


class _Stopped(Exception):
    pass


def _journals() -> None:
    """In the working folder: jobs that were begun, and not finished."""
    _lensctl("sync", "source", "target")
    _lensctl(
        "cutout", "objects.parquet", "begun.zarr", "--root", "fz", "--size", "9", "--shard-rows", "2", "--part", "1/2"
    )
    Path("bad.fits").write_bytes(b"SIMPLE  = none")
    _lensctl("pool", "sweep.fits", "bad.fits", "begun.parquet", "--lenses", "lenses.csv", "--workers", "1", status=2)
    epochs = []

    def stop_after_two(event) -> None:  # type: ignore[no-untyped-def]
        epochs.append(event.metrics)
        if len(list(filter(None, epochs))) == 2:
            raise _Stopped

    with frozen.tiny_network():
        options = {"root": "fz", "max_empty": 1.0, "workers": 1, "device": "cpu", "keep": 2}
        search("frozen", "objects.parquet", "found", **options)
        digest = json.loads(Path("frozen/frozen.json").read_text())["model_digest"]
        write_table(null_scores(digest, 40), "null.parquet")
        search("frozen", "objects.parquet", "begun-search", part="1/1", **options)
    with frozen.tiny_network(), contextlib.suppress(_Stopped):
        train("rows.parquet", "begun", crop=16, epochs=2, batch_size=64, event=stop_after_two, device="cpu")


def _lensctl(*arguments: str, status: int = 0) -> None:
    done = subprocess.run([sys.executable, "-m", "lensctl", *arguments], capture_output=True, check=False)
    assert done.returncode == status, done.stderr.decode()
