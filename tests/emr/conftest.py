"""A region with a survey in its bucket, and the wheel that steps there are submitted with."""

from __future__ import annotations

import os

import pyarrow as pa
import pytest

from lensctl.io.tables.files import write_table
from tests.toys import catalogs as toys
from tests.toys import coadds
from tests.toys import emr as emr_toy
from tests.toys.emr import told


@pytest.fixture(scope="package")
def aws(tmp_path_factory):
    """A region with a survey in its bucket."""
    for library in ("moto", "pyspark"):
        pytest.importorskip(library, reason=f"{library} is not installed (pip install 'lensctl[test]')")
    folder = tmp_path_factory.mktemp("survey")
    with emr_toy.region() as toy:
        write_table(toys.pool(2000), str(folder / "pool.parquet"))
        write_table(toys.positives(9), str(folder / "positives.parquet"))
        write_table(coadds.objects("1500p020", 12), str(folder / "objects.parquet"))
        write_table(pa.table({"ra": [5.0], "dec": [2.5], "name": ["a"]}), str(folder / "lenses.csv"))
        for n in range(2):
            toys.write_fits(toys.rows(600, n, ra=100.0 + 10 * n), folder / f"sweep-{n}.fits")
        coadds.make_brick(folder / "coadds", "1500p020")
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            toy.put(file.relative_to(folder).as_posix(), file.read_bytes())
        yield toy


@pytest.fixture
def here(lensctl, aws):
    """Run `lensctl ...` on this machine, with the toy's S3."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return lambda *arguments: lensctl(*arguments, env={**clean, **aws.env})


@pytest.fixture
def submit(here, aws, built):
    def run(*command):
        given = ("--staging", emr_toy.STAGING, "--subnet", aws.subnet, "--wheel", built)
        return told(here("emr", "submit", *given, *command))

    return run


@pytest.fixture
def wait(here):
    return lambda said: here("emr", "wait", said["cluster"], said["step"], "--log-minutes", "0")
