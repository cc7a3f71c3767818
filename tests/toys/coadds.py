"""Small made-up brick coadds on disk, laid out and compressed as the survey's are."""

from __future__ import annotations

import functools
import http.server
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fitsio
import numpy as np
import pyarrow as pa

SCALE_DEG = 0.262 / 3600
CENTRES = {"1500p020": (150.0, 2.0), "1502p020": (150.25, 2.0), "0000m005": (0.02, -0.5)}


def header(ra: float, dec: float, shape: tuple[int, int], **extra: object) -> dict[str, object]:
    """Cards of a coadd whose reference point is the middle of its brick, off-centre in a window."""
    return {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CRVAL1": ra,
        "CRVAL2": dec,
        "CRPIX1": shape[1] / 2 - 20.0,
        "CRPIX2": shape[0] / 2 + 15.5,
        "CD1_1": -SCALE_DEG,
        "CD1_2": 0.0,
        "CD2_1": 0.0,
        "CD2_2": SCALE_DEG,
        "LSDR": "DR10",
        "DRVERSIO": 10000,
        "BUNIT": "nanomaggy",
        **extra,
    }


def make_brick(
    root: Path,
    name: str,
    *,
    base: str = "south/coadd",
    bands: str = "grz",
    shape: tuple[int, int] = (330, 360),
    compress: bool = True,
    seed: int = 0,
    kind: str = "image",
    **extra: object,
) -> dict[str, np.ndarray]:
    """Write one brick's images, or what is of another `kind`; returns its pixels by band as they read back."""
    folder = root / base / name[:3] / name if base else root
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng([seed, *name.encode()])
    pixels = {}
    for band in bands:
        noise = random.normal(0, 0.02, shape).astype(np.float32)
        noise[:20] = 0.0
        cards = [{"name": k, "value": v} for k, v in header(*CENTRES[name], shape, **extra).items()]
        file = folder / f"legacysurvey-{name}-{kind}-{band}.fits{'.fz' if compress else ''}"
        tiles = {"compress": "RICE", "tile_dims": (100, 100), "qlevel": 16.0, "qmethod": "SUBTRACTIVE_DITHER_2"}
        fitsio.write(str(file), noise, header=cards, clobber=True, **(tiles if compress else {}))
        pixels[band] = fitsio.read(str(file))
    return pixels


def objects(name: str, count: int, seed: int = 1, spread_px: float = 130.0) -> pa.Table:
    """Rows of a table around a brick's reference point."""
    random = np.random.default_rng(seed)
    ra, dec = CENTRES[name]
    return pa.table(
        {
            "galaxy_id": [f"{name}_{i}" for i in range(count)],
            "ra": (ra + random.uniform(-spread_px, spread_px, count) * SCALE_DEG / np.cos(np.radians(dec))) % 360.0,
            "dec": dec + random.uniform(-spread_px, spread_px, count) * SCALE_DEG,
        }
    )


def make_maskbits(root: Path, name: str, *, shape: tuple[int, int] = (330, 360)) -> np.ndarray:
    """Write the maskbits of one brick, which all bands have in common."""
    folder = root / "south/coadd" / name[:3] / name
    bits = np.random.default_rng(len(name)).integers(0, 1 << 13, shape).astype(np.int16)
    cards = [{"name": k, "value": v} for k, v in header(*CENTRES[name], shape).items()]
    file = folder / f"legacysurvey-{name}-maskbits.fits.fz"
    fitsio.write(str(file), bits, header=cards, clobber=True, compress="GZIP", tile_dims=(100, 100))
    return bits


class Server(http.server.ThreadingHTTPServer):
    """A web server of a folder, with ranges, which counts what it gives and misbehaves when told to.

    Attributes
    ----------
    ranges : bool
        Whether it knows ranges; if not, it gives whole files.
    login : tuple of str, optional
        Header and query without which it gives nothing.
    faults : dict
        For a name's ending: how many answers are bad still, and how: a status, perhaps with seconds to wait, `hang`,
        `break` off in the middle, `html`, `empty`, `packed`, or `endless`: half the content, and no length said.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), functools.partial(Answers, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.ranges = True
        self.login: tuple[str, str] | None = None
        self.faults: dict[str, list[str]] = {}
        self.delay_seconds = 0.0
        self.bytes_given = 0
        self.asked: list[tuple[str, str]] = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        self.ended = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that left in the middle of an answer."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class Answers(http.server.SimpleHTTPRequestHandler):
    """What the server says to one request."""

    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
            self.server.asked.append((self.path, self.headers.get("Range", "")))
            faults = next((kinds for end, kinds in self.server.faults.items() if self.path.endswith(end)), [])
            fault = faults.pop(0) if faults else ""
        self.counted = True
        try:
            self.answer(fault)
        except ConnectionError:
            self.close_connection = True
        finally:
            self.over()

    def over(self) -> None:
        """Counts the request as over: before its last byte, since whoever has that may ask for the next at once."""
        with self.server.lock:
            self.server.at_once -= self.counted
            self.counted = False

    def answer(self, fault: str) -> None:
        file = Path(self.translate_path(self.path))
        login = self.headers.get("Authorization"), self.path.partition("?")[2]
        if self.server.login and self.server.login != login:
            self.over()
            self.send_error(401)
            return
        status, _, wait = fault.partition(" ")
        if status.isdigit() or not file.is_file():
            self.over()
            self.send_response(int(status or 404))
            for name, value in {"Retry-After": wait, "Content-Length": "0"}.items():
                if value:
                    self.send_header(name, value)
            self.end_headers()
            return
        if fault == "hang":
            self.server.ended.wait(20)
            return
        time.sleep(self.server.delay_seconds)
        content = {"html": b"<html><body>Down</body></html>", "empty": b""}.get(fault, file.read_bytes())
        size, (start, stop) = len(content), (0, len(content))
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if asked and self.server.ranges:
            start, stop = int(asked[1]), min(int(asked[2]) + 1, size)
            self.send_response(206 if start < size else 416)
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}" if start < size else f"bytes */{size}")
        else:
            self.send_response(200)
        if fault == "endless":
            stop, self.close_connection = size // 2, True
        else:
            self.send_header("Content-Length", str(max(stop - start, 0)))
        if fault == "packed":
            self.send_header("Content-Encoding", "gzip")
        self.send_header("ETag", f'"{os.stat(file).st_mtime_ns:x}"')
        self.end_headers()
        body = content[start:stop]
        if fault == "break":
            body, self.close_connection = body[: len(body) // 2], True
        with self.server.lock:
            self.server.bytes_given += len(body)
        self.wfile.write(body[:-1])
        self.over()
        self.wfile.write(body[-1:])

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A running server of a folder on the loopback interface, that ends with the block."""
    with Server(folder) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            server.shutdown()
            thread.join(20)
