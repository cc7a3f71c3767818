"""Files on a web server: complete and what their name says, or an error in a sentence; kept if wished."""

from __future__ import annotations

import dataclasses
import hashlib

import pyarrow.parquet as pq
import pytest

from lensctl.cli.main import main
from lensctl.io.provenance import digests
from lensctl.io.storage import web
from lensctl.io.tables.files import read_table
from lensctl.io.tables.sweeps import catalog_files, digest, stamped_input
from lensctl.rules.errors import InputError, ServiceError
from tests.toys import catalogs as toys
from tests.toys.coadds import serving

LENSES = "name,RA [deg],DEC [deg],grading\nDESI-1,151.0,3.0,confident\n"
BOX = "ralo=150.1&rahi=150.3&declo=-2.1&dechi=-1.9"
LIST = "dr10_sweep_10.1.sha256sum"


@pytest.fixture
def waits(monkeypatch):
    """Seconds that were waited, instead of waiting them."""
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr(web, "PACE", dataclasses.replace(web.PACE, sleep=sleep, chance=lambda: 0.5))
    return slept


@pytest.fixture
def server(tmp_path, waits):
    folder = tmp_path / "server" / "sweep" / "10.1"
    sums = []
    for number in range(2):
        table = toys.rows(300, seed=number, ra=150.0 + 5 * number)
        name = f"sweep-{number}.fits"
        content = toys.write_fits(table, folder / name).read_bytes()
        sums.append(f"{hashlib.sha256(content).hexdigest()}  {name}\n")
    (folder / LIST).write_text("".join(sums))
    (tmp_path / "lenses.csv").write_text(LENSES)
    with serving(tmp_path / "server") as server:
        server.url += "/sweep/10.1"
        server.asked_for = lambda: [path.rpartition("/")[2] for path, _ in server.asked]
        yield server


def pool(tmp_path, *sweeps, name="pool.parquet", more=()):
    lenses = ("--lenses", tmp_path / "lenses.csv", "--workers", "1")
    return main(list(map(str, ("pool", *sweeps, tmp_path / name, *lenses, *more))))


def test_a_pool_from_a_web_server_is_that_from_disk_byte_for_byte(tmp_path, server):
    names = ("sweep-0.fits", "sweep-1.fits")
    assert pool(tmp_path, *(tmp_path / "server/sweep/10.1" / name for name in names), name="disk.parquet") == 0
    assert pool(tmp_path, *(f"{server.url}/{name}" for name in names), name="web.parquet") == 0
    kept = ("--downloads", tmp_path / "down")
    assert pool(tmp_path, f"{server.url}/{LIST}", name="list.parquet", more=kept) == 0
    disk = (tmp_path / "disk.parquet").read_bytes()
    assert (tmp_path / "web.parquet").read_bytes() == disk
    assert (tmp_path / "list.parquet").read_bytes() == disk


def test_positives_are_matched_to_catalogues_on_a_web_server(tmp_path, server):
    row = toys.rows(300).slice(0, 1).to_pylist()[0]
    (tmp_path / "lenses.csv").write_text(f"name,ra,dec,grading\nDESI-1,{row['ra']},{row['dec']},confident\n")
    command = ("crossmatch", tmp_path / "lenses.csv", f"{server.url}/sweep-0.fits", tmp_path / "p.parquet")
    assert main(list(map(str, command))) == 0
    assert pq.read_table(tmp_path / "p.parquet")["objid"].to_pylist() == [row["objid"]]


def test_what_is_kept_is_not_fetched_again_and_a_stop_goes_on(tmp_path, server, monkeypatch):
    monkeypatch.setattr(web, "AT_ONCE", 1)  # else it is by chance whether the first is there when the second fails
    server.faults["sweep-1.fits"] = ["404"]
    with pytest.raises(InputError, match=r"sweep-1.fits: the server answers 404"):
        catalog_files([f"{server.url}/sweep-0.fits", f"{server.url}/sweep-1.fits"], tmp_path / "down")
    files = catalog_files([f"{server.url}/{LIST}"], tmp_path / "down")
    place = server.url.removeprefix("http://")
    assert files == [str(tmp_path / "down" / place / f"sweep-{number}.fits") for number in range(2)]
    again = catalog_files([f"{server.url}/{LIST}"], tmp_path / "down")
    assert again == files
    assert sorted(server.asked_for()) == [LIST, LIST, "sweep-0.fits", "sweep-1.fits", "sweep-1.fits"]


def test_a_file_where_the_folder_of_downloads_should_be_is_named(tmp_path, server, capsys):
    assert pool(tmp_path, f"{server.url}/sweep-0.fits", more=("--downloads", tmp_path / "lenses.csv")) == 2
    assert "lenses.csv is, or holds, a file where a folder must be" in capsys.readouterr().err


def test_a_list_of_checksums_names_the_files_and_tells_their_digests(tmp_path, server):
    files = catalog_files([f"{server.url}/{LIST}"])
    assert [web.name_of(file) for file in files] == ["sweep-0.fits", "sweep-1.fits"]
    assert [digest(file) for file in files] == [
        digests.of_file(tmp_path / "server/sweep/10.1" / f"sweep-{number}.fits") for number in range(2)
    ]
    assert stamped_input(files).name == "2 files"
    assert server.asked_for() == [LIST]


def test_a_file_of_another_checksum_is_refused_after_every_try(tmp_path, server):
    wrong = f"{server.url}/sweep-0.fits#sha256={'0' * 64}"
    with pytest.raises(ServiceError, match="another SHA-256") as error:
        web.fetch(wrong, tmp_path / "x.fits")
    assert "#" not in str(error.value)
    assert server.asked_for() == ["sweep-0.fits"] * 6


PASSING = {
    "503 7": "the server answers 503",
    "502": "the server answers 502",
    "429 2": "the server answers 429",
    "break": "cut short",
    "html": "begins '<html>",
    "empty": "the answer is empty",
    "packed": "compressed",
}


@pytest.mark.parametrize("fault", PASSING)
def test_what_may_pass_is_asked_again_and_told_in_a_sentence_if_it_stays(tmp_path, server, waits, fault, capsys):
    server.faults["sweep-0.fits"] = [fault] * 3
    assert pool(tmp_path, f"{server.url}/sweep-0.fits") == 0
    asked = [float(fault.partition(" ")[2] or 0)] * 3
    assert waits == [max(*pair) for pair in zip((0.25, 0.5, 1.0), asked, strict=True)]
    capsys.readouterr()
    server.faults["sweep-0.fits"] = [fault] * 9
    assert pool(tmp_path, f"{server.url}/sweep-0.fits", name="other.parquet") == 2
    said = capsys.readouterr().err
    assert PASSING[fault] in said
    assert f"{server.url}/sweep-0.fits" in said
    assert "(6 tries)" in said
    assert "Traceback" not in said
    assert not (tmp_path / "other.parquet").exists()


@pytest.mark.parametrize("fault", ["404", "403", "401"])
def test_what_will_not_pass_is_asked_once(tmp_path, server, fault, capsys):
    server.faults["sweep-0.fits"] = [fault]
    assert pool(tmp_path, f"{server.url}/sweep-0.fits") == 2
    assert f"the server answers {fault}" in capsys.readouterr().err
    assert len([name for name in server.asked_for() if name == "sweep-0.fits"]) == 1


def test_an_answer_without_a_length_that_stops_early_is_never_a_shorter_table(tmp_path, server, capsys):
    server.faults["sweep-0.fits"] = ["endless"] * 9
    assert pool(tmp_path, f"{server.url}/sweep-0.fits") == 2
    assert "truncated" in capsys.readouterr().err
    (tmp_path / "server/sweep/10.1/t.csv").write_text("a,b\n1,2\n3,4\n")
    server.faults["t.csv"] = ["endless"]
    with pytest.raises(InputError, match="does not say how long"):
        web.fetch(f"{server.url}/t.csv", tmp_path / "t.csv")


@pytest.mark.parametrize("url", ["/*.fits", "/", "", "/sweep-[01].fits"])
def test_globs_and_folders_are_refused_since_a_web_server_lists_nothing(url):
    address = f"http://127.0.0.1:9{url}"
    with pytest.raises(InputError, match="lists no files") as error:
        catalog_files([address])
    assert "sha256sum" in error.value.fix


def test_a_file_that_is_no_list_of_checksums_is_refused(tmp_path, server):
    (tmp_path / "server/sweep/10.1/bad.sha256sum").write_text("hello\n")
    with pytest.raises(InputError, match="not a list of SHA-256"):
        catalog_files([f"{server.url}/bad.sha256sum"])


def test_other_tables_on_a_web_server_are_refused_in_a_sentence(tmp_path):
    with pytest.raises(InputError, match="only catalogues are read from a web server"):
        read_table("https://example.org/pool.parquet")


def test_a_login_and_a_token_are_sent_and_never_told_or_kept_in_a_name(tmp_path, server, capsys):
    url = server.url.replace("http://", "http://me:secret@") + "/sweep-0.fits?token=hush"
    server.login = ("Basic bWU6c2VjcmV0", "token=hush")
    assert pool(tmp_path, url, more=("--downloads", tmp_path / "down")) == 0
    server.login = ("Basic x", "")
    assert pool(tmp_path, url, name="other.parquet") == 2
    said = "".join(capsys.readouterr())
    assert "the server answers 401" in said
    names = [str(path) for path in (tmp_path / "down").rglob("*")]
    for secret in ("secret", "hush"):
        assert secret not in said + "".join(names)
        assert secret.encode() not in (tmp_path / "pool.parquet").read_bytes()


def test_a_box_of_the_sky_has_a_name_of_its_own_and_nothing_is_asked_of_it_before(server):
    url = f"http://h/viewer/ls-dr10/cat.fits?{BOX}&token=hush"
    assert web.name_of(url) == "cat_150.1_150.3_-2.1_-1.9.fits"
    assert web.stamp(f"{server.url}/cat.fits?{BOX}") == ""
    assert server.asked == []


def test_the_stamp_of_a_file_changes_with_it(tmp_path, server):
    url = f"{server.url}/sweep-0.fits"
    before = web.stamp(url)
    toys.write_fits(toys.rows(900), tmp_path / "server/sweep/10.1/sweep-0.fits")
    assert before
    assert web.stamp(url) != before
