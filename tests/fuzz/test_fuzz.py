"""Damaged inputs of every reader: each ends with an exit status of ours, in time and in memory."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

import lensctl
from lensctl.io.tables import files as files_module
from tests.fuzz.readers import READERS

USUAL, SOAK, AT_ONCE = 5, 200, 5
"""Damages of each file, of all its readers together; and how many one process reads, one after the other."""
READ_BY = Counter(reader.file for reader in READERS.values())
PARSES = re.compile(
    r"json_value\(|yaml\.load|pq\.(read_|ParquetFile)|ipc\.open_|tensorstore\.open|npy\.read|zipfile\.ZipFile|GzipFile|gzip\.open"
    r"|safe_open|torch\.load|export\.load|[^\w.]load\(|fitsio\.FITS|fits\.open|votable\.parse|text_tables|read_header\(|find_image\("
    r"|csv\.reader|read_csv|\.read_json\(|read_parquet\(|load_pem|Rice1\(|inflated\(|Quantize\("
)
"""What takes bytes of others apart."""
NOT_READERS = {
    "io/fits/new_files.py": "writes",
    "io/machine.py": "reads what this machine's own programs say",
    "io/provenance/environment.py": "reads what pip installed",
    "io/storage/growing_folders.py": "has JSON made from its own values",
    "io/storage/incomplete.py": "names the writer of a mark, whatever it says",
    "io/storage/resumable.py": "has JSON made from its own values",
    "emr/machines.py": "reads a file of the checkout",
    "emr/run_step.py": "reads what the command it has run says",
    "emr/wheel.py": "reads a wheel of lensctl, and what pip installed",
    "freeze/archive.py": "writes",
    "frozen/model_card.py": "writes how a model is opened",
    "pack.py": "reads notes of the parts that it has written",
    "search/hats.py": "reads footers that it has written",
    "pool/growing_pool.py": "reads notes of its own, as pool/parts.py does",
    "gates/registry.py": "loads entry points",
}


def test_whatever_takes_bytes_apart_is_among_the_readers():
    """A new module that parses anything joins the table of readers, or says why not."""
    package = Path(lensctl.__file__).parent
    found = {path.relative_to(package).as_posix() for path in package.rglob("*.py") if PARSES.search(path.read_text())}
    reached = {module for reader in READERS.values() for module in reader.modules}
    assert found - set(NOT_READERS) - reached == set()
    assert {module for module in reached | set(NOT_READERS) if not (package / module).is_file()} == set()


def test_every_format_of_a_table_is_among_the_readers():
    files = [reader.file for reader in READERS.values()]
    assert {kind for kind in (*files_module._READERS, "fits") if not any(f".{kind}" in file for file in files)} == set()


@pytest.mark.parametrize("name", READERS)
def test_what_is_not_damaged_is_read(warm, name):
    ended = warm.case(name, None)
    assert ended.status in (0, 1), ended


@pytest.mark.parametrize("name", READERS)
def test_damage_is_never_our_fault(warm, name):
    seeds = [f"{name}-{number}" for number in range(-(-USUAL // READ_BY[READERS[name].file]))]
    for first in range(0, len(seeds), AT_ONCE):
        some = seeds[first : first + AT_ONCE]
        together = warm.case(name, *some)
        if not together.is_ours():
            alone = {seed: ended for seed in some if not (ended := warm.case(name, seed)).is_ours()}
            pytest.fail("\n".join(f"{seed}: {ended}" for seed, ended in (alone or {str(some): together}).items()))


@pytest.mark.soak
@pytest.mark.parametrize(("name", "number"), [(name, number) for name in READERS for number in range(SOAK)])
def test_no_damage_of_many_is_our_fault(warm, name, number):
    ended = warm.case(name, f"{name}-{number}")
    assert ended.is_ours(), f"{name}-{number}: {ended}"
