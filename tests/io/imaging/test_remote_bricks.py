"""Coadds on S3 and behind a web server: the pixels that disk gives, few bytes, and every failure named."""

from __future__ import annotations

import gzip
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from lensctl.cli.main import main
from lensctl.io.cutouts.layout import Layout
from lensctl.io.fits.tiles import Mask
from lensctl.io.imaging import remote_bricks
from lensctl.io.imaging.bricks import bricks_of
from lensctl.io.imaging.coadds import Coadds, CoaddSource
from lensctl.io.imaging.local_bricks import FitsFile, LocalBricks
from lensctl.io.imaging.making import make
from lensctl.io.imaging.roots import open_root
from lensctl.io.imaging.source import Cuts
from lensctl.io.provenance.steps import Step, to_json
from lensctl.io.storage import s3
from lensctl.rules.errors import InputError, LensctlError, ServiceError
from tests.toys.coadds import Server, make_brick, objects, serving
from tests.toys.folders import folder_digest


@pytest.fixture(scope="module")
def root(large_survey: Path) -> Path:
    return large_survey


@pytest.fixture
def server(root: Path) -> Iterator[Server]:
    with serving(root.parents[1]) as running:
        yield running


@pytest.fixture
def copied(root: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(root, tmp_path / "south"))


def where(server: Server) -> str:
    return f"{server.url}/dr10%20x/south"


def cut(url: str, table: pa.Table, *, size: int = 31, tries: int = 2, timeout: float = 20.0, **more: object) -> Cuts:
    place = open_root(url, tries=tries, timeout=timeout)
    cutter = Coadds(place, size=size, **more)
    found = cutter.cut(bricks_of(table, place), table["ra"].to_numpy(), table["dec"].to_numpy())
    cutter.close()
    return found


def same(a: Cuts, b: Cuts) -> bool:
    return a.columns == b.columns and np.array_equal(a.images, b.images, equal_nan=True)


def everything(count: int = 4) -> pa.Table:
    return pa.concat_tables([objects(name, count) for name in ("1500p020", "1502p020", "0000m005")])


def upload(folder: Path, bucket: str, prefix: str) -> str:
    for file in folder.rglob("*"):
        if file.is_file():
            s3.upload(file, f"s3://{bucket}/{prefix}/{file.relative_to(folder)}")
    return f"s3://{bucket}/{prefix}"


@pytest.mark.parametrize("count", [1, 4, 200])
def test_pixels_over_http_are_those_on_disk_and_astropys(root: Path, server: Server, count: int) -> None:
    table = everything(count)
    found, on_disk = cut(where(server), table), cut(str(root), table)
    assert same(found, on_disk)
    assert found.columns["url_or_brick"][0] == "coadd/150/1500p020"
    for b, band in enumerate("grz"):
        with fits.open(root / f"coadd/150/1500p020/legacysurvey-1500p020-image-{band}.fits.fz") as hdus:
            pixels, wcs = hdus[1].data, WCS(hdus[1].header)
        for row in range(count):
            x, y = wcs.all_world2pix(table["ra"][row].as_py(), table["dec"][row].as_py(), 0)
            column, line = int(np.floor(x + 0.5)) - 15, int(np.floor(y + 0.5)) - 15
            assert np.array_equal(found.images[row, ..., b], pixels[line : line + 31, column : column + 31])


@pytest.mark.parametrize("scheme", ["s3", "s3a"])
def test_pixels_on_s3_are_those_on_disk(root: Path, bucket: str, scheme: str) -> None:
    url = upload(root, bucket, "dr10/south").replace("s3:", f"{scheme}:")
    assert same(cut(url, everything()), cut(str(root), everything()))
    assert same(cut(url, everything(200)), cut(str(root), everything(200)))


@pytest.mark.parametrize("name", ["1500p020", "0000m005"])
def test_two_objects_cost_a_fraction_of_the_files(
    root: Path, server: Server, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_bricks, "FIRST_BYTES", 16 << 10)
    whole = sum(file.stat().st_size for file in root.rglob(f"*{name}-image-*"))
    cut(where(server), objects(name, 2))
    assert server.bytes_given < 0.25 * whole
    server.bytes_given = 0
    cut(where(server), objects(name, 2, spread_px=1e3), size=101)
    assert server.bytes_given < 0.25 * whole


@pytest.mark.parametrize("first", [2880, 4096, 1 << 24])
def test_headers_longer_and_shorter_than_thought_of(
    root: Path, server: Server, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_bricks, "FIRST_BYTES", first)
    assert same(cut(where(server), everything()), cut(str(root), everything()))


def test_a_server_without_ranges_gives_the_same(root: Path, server: Server) -> None:
    server.ranges = False
    assert same(cut(where(server), everything()), cut(str(root), everything()))
    assert sum(bool(asked) for _, asked in server.asked) <= 8, "only as many as were underway when it became known"


def test_a_dense_brick_is_fetched_whole_and_once(root: Path, server: Server) -> None:
    cut(where(server), objects("1500p020", 2000, spread_px=740.0), size=101)
    asked = [path for path, ranges in server.asked if not ranges and "1500p020-image" in path]
    assert len(asked) == 3


def test_gzipped_files_are_fetched_whole(copied: Path) -> None:
    for file in list(copied.rglob("*0000m005*.fits")):
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes(), mtime=0))
        file.unlink()
    with serving(copied) as server:
        assert same(cut(server.url, objects("0000m005", 3)), cut(str(copied), objects("0000m005", 3)))


@pytest.mark.parametrize("base", ["south/coadd", "coadd", ""])
def test_three_layouts_of_a_root(tmp_path: Path, base: str, bucket: str) -> None:
    make_brick(tmp_path / "survey", "1500p020", base=base)
    table = objects("1500p020", 2)
    with serving(tmp_path / "survey") as server:
        assert same(cut(server.url, table), cut(str(tmp_path / "survey"), table))
    assert same(cut(upload(tmp_path / "survey", bucket, "a"), table), cut(str(tmp_path / "survey"), table))


def test_missing_bricks_are_named_and_the_others_are_cut(server: Server, root: Path, bucket: str) -> None:
    table = pa.concat_tables([objects("1500p020", 1), objects("1500p020", 1)])
    table = table.append_column("brickname", pa.array(["3599p899", "1500p020"]))
    for url in (where(server), upload(root, bucket, "dr10")):
        found = cut(url, table)
        assert found.columns["status"] == ["missing_brick", None]
        assert found.columns["error"][0] in ("no coadd of brick 3599p899", "no image in g, r, z of brick 3599p899")
        assert np.isnan(found.images[0]).all()


@pytest.mark.parametrize("keep", [0, 2000, 9000, -3000, -40000])
def test_a_truncated_file_is_named_and_nothing_of_it_is_kept(copied: Path, bucket: str, keep: int) -> None:
    (file,) = (copied / "coadd/150/1500p020").glob("*-r.fits.fz")
    file.write_bytes(file.read_bytes()[:keep] if keep else b"")
    table = pa.concat_tables([objects("1500p020", 2), objects("0000m005", 1)])
    on_disk = cut(str(copied), table)
    with serving(copied) as server:
        for found in (on_disk, cut(server.url, table), cut(upload(copied, bucket, "a"), table)):
            assert found.columns["status"] == ["bad_file", "bad_file", None]
            assert found.columns["error"] == on_disk.columns["error"]
            assert np.isnan(found.images[:2]).all()
    if keep < 0:
        assert "brick 1500p020, r: truncated: " in found.columns["error"][0]


def test_a_damaged_table_of_tiles_is_named(copied: Path) -> None:
    (file,) = (copied / "coadd/150/1500p020").glob("*-z.fits.fz")
    content = bytearray(file.read_bytes())
    at = FitsFile(file).image.data_start
    content[at : at + 16 * 24] = b"\x7f" * 16 * 24
    file.write_bytes(content)
    with serving(copied) as server:
        found = cut(server.url, objects("1500p020", 1))
    assert found.columns["status"] == ["bad_file"]
    assert found.columns["error"] == ["brick 1500p020, z: the tile table is damaged"]


FAULTS = {
    "503": ("http_error", 503, "the server returned 503"),
    "403": ("http_error", 403, "the server returned 403"),
    "hang": ("timeout", None, "timed out"),
    "break": ("http_error", None, "the connection failed"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_server_that_fails_is_named_in_words_that_do_not_change(server: Server, fault: str) -> None:
    server.faults = {"1500p020-image-r.fits.fz": [fault] * 50}
    patience = {"timeout": 0.5} if fault == "hang" else {}
    found = cut(where(server), pa.concat_tables([objects("1500p020", 2), objects("0000m005", 1)]), **patience)
    status, code, reason = FAULTS[fault]
    assert found.columns["status"] == [status, status, None]
    assert found.columns["http_status"] == [code, code, None]
    assert found.columns["error"][0] == f"brick 1500p020, {reason}"
    assert np.isnan(found.images[:2]).all()


@pytest.mark.parametrize("fault", ["503", "break"])
def test_what_passes_is_asked_for_again(root: Path, server: Server, fault: str) -> None:
    server.faults = {"1500p020-image-r.fits.fz": [fault]}
    assert same(cut(where(server), everything()), cut(str(root), everything()))


def test_a_file_that_is_written_meanwhile_is_not_mixed(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (file,) = (copied / "coadd/150/1500p020").glob("*-r.fits.fz")
    begin = remote_bricks.RemoteFile._begin

    async def written(self: remote_bricks.RemoteFile) -> None:
        await begin(self)
        file.touch()

    monkeypatch.setattr(remote_bricks.RemoteFile, "_begin", written)
    with serving(copied) as server:
        found = cut(server.url, objects("1500p020", 1))
    assert found.columns["status"] == ["bad_file"]
    assert found.columns["error"] == ["brick 1500p020, r: it changed while it was read"]


def test_no_more_requests_at_once_than_asked_for(server: Server) -> None:
    server.delay_seconds = 0.02  # else one is over before the next is sent
    cutter = Coadds(open_root(where(server), at_once=2), size=31)
    table = everything(1)
    cutter.cut(["1500p020", "1502p020", "0000m005"], table["ra"].to_numpy(), table["dec"].to_numpy())
    assert server.most_at_once == 2


def test_nothing_is_left_of_the_copies(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen: list[list[Path]] = []
    fetch = remote_bricks.RemoteFile.fetch

    async def watched(self: remote_bricks.RemoteFile, tiles: Mask | None) -> None:
        await fetch(self, tiles)
        seen.append(list(tmp_path.iterdir()))

    monkeypatch.setattr(remote_bricks.RemoteFile, "fetch", watched)
    cut(where(server), everything())
    assert seen
    assert not any(seen), "a copy has no name, so that a kill leaves nothing"


def test_roots_without_coadds_and_without_an_answer_are_refused(bucket: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    table = objects("1500p020", 1)
    with pytest.raises(InputError, match="holds no coadd/"):
        CoaddSource(upload(tmp_path, bucket, "dr10/other")).prepare(table)
    with pytest.raises(InputError, match="no such bucket"):
        CoaddSource("s3://no-such-bucket-here/dr10").prepare(table)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{held.getsockname()[1]}/south"
        with pytest.raises(ServiceError, match="connection failed"):
            CoaddSource(nobody, tries=1).prepare(table)
    with pytest.raises(LensctlError, match="not the address of a web server"):
        open_root("http:///south")


def test_the_table_of_bricks_is_found_beside_the_root(server: Server, root: Path, tmp_path: Path, bucket: str) -> None:
    known = np.array(
        [(b"1500p020", 149.875, 150.125, 1.875, 2.125)],
        dtype=[("BRICKNAME", "S8"), ("RA1", "f8"), ("RA2", "f8"), ("DEC1", "f8"), ("DEC2", "f8")],
    )
    survey = tmp_path / "dr10"
    shutil.copytree(root, survey / "south")
    fits.BinTableHDU(known).writeto(survey / "survey-bricks.fits")
    table = objects("1500p020", 2).set_column(0, "galaxy_id", pa.array(["lens a", "lens b"]))
    with serving(survey) as far:
        for url in (f"{far.url}/south", f"{upload(survey, bucket, 'dr10')}/south"):
            assert bricks_of(table, open_root(url)) == ["1500p020"] * 2
    with pytest.raises(InputError, match="brick is not known"):
        bricks_of(table, open_root(where(server)))


def store(path: Path, url: str, rows: pa.Table, **more: object) -> str:
    source = CoaddSource(url, 21, processes=1, tries=1, **more)
    make(rows, str(path), source, Layout(rows.num_rows, 21, shard_rows=5), (Step("cutout", {"a": 1}),))
    return folder_digest(path)


def test_the_store_is_the_same_wherever_the_coadds_are(
    root: Path, server: Server, tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = everything()
    places = {"disk": str(root), "http": where(server), "s3": upload(root, bucket, "dr10/south")}
    assert len({store(tmp_path / name, url, rows) for name, url in places.items()}) == 1


def test_an_outage_is_taken_up_by_the_same_command(root: Path, server: Server, tmp_path: Path) -> None:
    rows = everything()
    server.faults = {"1502p020-image-g.fits.fz": ["503"] * 40}
    interrupted = store(tmp_path / "a", where(server), rows)
    server.faults = {}
    assert store(tmp_path / "a", where(server), rows) == store(tmp_path / "b", str(root), rows) != interrupted


def test_no_host_and_no_folder_in_what_a_store_says_of_itself(
    root: Path, server: Server, tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet as pq

    monkeypatch.chdir(tmp_path)
    pq.write_table(everything(), "t.parquet")
    whole = set()
    for number, url in enumerate((str(root), f"{where(server)}/", upload(root, bucket, "dr10/south"))):
        command = ["cutout", "t.parquet", f"{number}.zarr", "--root", url, "--size", "21", "--workers", "1"]
        assert main(command) == 0
        whole.add(folder_digest(f"{number}.zarr"))
    assert len(whole) == 1
    text = Path("1.zarr/zarr.json").read_text()
    assert "127.0.0.1" not in text
    assert '"root": "south"' in text


def test_what_lies_beside_the_root_and_is_too_large_is_not_fetched(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(root, tmp_path / "south")
    (tmp_path / "provenance.json").write_bytes(bytes(1_000_000))
    monkeypatch.setattr(remote_bricks, "LARGEST_NOTE", 999_999)
    with serving(tmp_path) as server, pytest.raises(InputError, match=r"provenance\.json is larger than 1 MB"):
        open_root(f"{server.url}/south").origin()


def test_a_provenance_beside_the_root_is_an_input(root: Path, tmp_path: Path, bucket: str) -> None:
    chain = (Step("sky", {"seed": 1}),)
    shutil.copytree(root, tmp_path / "dr10/south")
    (tmp_path / "dr10/provenance.json").write_text(to_json(chain))
    known = LocalBricks(tmp_path / "dr10/south").origin()
    assert known is not None
    with serving(tmp_path) as server:
        assert open_root(f"{server.url}/dr10/south").origin() == known
        assert open_root(f"{server.url}/dr10/south/coadd").origin() is None
    assert open_root(f"{upload(tmp_path / 'dr10', bucket, 'a/dr10')}/south").origin() == known
