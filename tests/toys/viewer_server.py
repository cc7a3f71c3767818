"""A cutout service on the loopback interface, which answers as the real one does, and badly when told to."""

from __future__ import annotations

import asyncio
import gzip
import io
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from aiohttp import web
from astropy.io import fits

from tests.toys.mock_sky_service import MockSky

LAYERS = {"ls-dr10": ("LegacySurvey", "DR10"), "ls-dr9": ("LegacySurvey", "DR9"), "sdss": ("SDSS", "DR14")}
BOX = ("ralo", "rahi", "declo", "dechi")
HTML = "<html><body><h1>Server Error (500)</h1></body></html>"


def pixels(ra: float, dec: float, size: int, bands: str) -> np.ndarray:
    """What the sky looks like: (B, S, S) float32, another at every position."""
    seed = np.array([ra, dec]).view(np.uint64)
    return np.random.default_rng(seed).normal(0.02, 0.1, (len(bands), size, size)).astype(np.float32)


def answer(ra: float, dec: float, size: int, bands: str, layer: str, pixscale: float, **spoil: object) -> bytes:
    """A FITS answer; `spoil` overrides cards, or `planes` the pixels."""
    survey, version = LAYERS[layer]
    planes = spoil.pop("planes", None)
    planes = pixels(ra, dec, size, bands) if planes is None else planes
    hdu = fits.PrimaryHDU(planes[0] if len(planes) == 1 else planes)
    scale = pixscale / 3600
    cards = {"SURVEY": survey, "VERSION": version, "IMAGETYP": "IMAGE", "BANDS": bands}
    cards |= {f"BAND{i}": band for i, band in enumerate(bands)}
    cards |= {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": ra, "CRVAL2": dec}
    cards |= {"CRPIX1": (size + 1) / 2, "CRPIX2": (size + 1) / 2, "CD1_1": -scale, "CD1_2": 0.0, "CD2_1": 0.0}
    for key, value in (cards | {"CD2_2": scale} | spoil).items():
        hdu.header[key] = value
    stream = io.BytesIO()
    hdu.writeto(stream)
    return stream.getvalue()


class Service:
    """What the server does.

    It shows noise, or the `sky` that it is given (`mock_sky_service.MockSky`), of which it gives catalogue rows too.
    `faults[ra]` are bad answers still to be given for a position, one a request; `always[ra]` is the one that it
    gives for ever. `down` refuses everyone, `down_after` everyone after so many requests, `login` (the header and the
    token) whoever does not give both.
    """

    def __init__(self) -> None:
        self.faults: dict[float, list[str]] = defaultdict(list)
        self.always: dict[float, str] = {}
        self.down = False
        self.login: tuple[str, str] | None = None
        self.down_after: int | None = None
        self.delay = 0.0
        self.asked: Counter[float] = Counter()
        self.queries: list[dict[str, str]] = []
        self.agents: set[str] = set()
        self.times: list[float] = []
        self.at_once = self.most_at_once = 0
        self.url = ""
        self.sky: MockSky | None = None
        self.boxes: list[dict[str, str]] = []
        self.box_faults: list[str] = []
        self.boxes_at_once = self.most_boxes_at_once = 0

    async def respond(self, request: web.Request) -> web.StreamResponse:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self._respond(request)
        finally:
            self.at_once -= 1

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        query = dict(request.query)
        self.queries.append(query)
        self.times.append(time.monotonic())
        self.agents.add(request.headers.get("User-Agent", ""))
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.down or (self.down_after is not None and len(self.queries) > self.down_after):
            return web.Response(status=503, text="down")
        if self.login and self.login != (request.headers.get("Authorization"), query.get("token")):
            return web.Response(status=401, text="who are you?")
        try:
            ra, dec = float(query["ra"]), float(query["dec"])
        except (KeyError, ValueError):
            return web.Response(status=400, text="bad")
        self.asked[ra] += 1
        size, pixscale = min(int(query.get("size", 256)), 3000), float(query.get("pixscale", 0.262))
        bands, layer = query.get("bands", "griz"), query.get("layer", "ls-dr9")
        if layer not in LAYERS:
            return web.Response(text="no such layer")
        if not set(bands) <= set("griz"):
            bands = "griz"
        fault = self.faults[ra].pop(0) if self.faults[ra] else self.always.get(ra, "")
        if self.sky and not fault:
            planes = self.sky.pixels(ra, dec, size, bands)
            if planes is None:
                return web.Response(status=500, text=HTML, content_type="text/html")
            return web.Response(body=answer(ra, dec, size, bands, layer, pixscale, planes=planes))
        return await self._bad(request, fault, (ra, dec, size, bands, layer, pixscale))

    async def catalog(self, request: web.Request) -> web.StreamResponse:
        """The rows of a box of the sky, as `LAYER/cat.fits` gives them."""
        query, layer = dict(request.query), request.match_info["layer"]
        self.boxes.append(query)
        self.boxes_at_once += 1
        self.most_boxes_at_once = max(self.most_boxes_at_once, self.boxes_at_once)
        try:
            await asyncio.sleep(0.01)
            if self.box_faults and (fault := self.box_faults.pop(0)):
                return web.Response(
                    status=int(fault), text=HTML, content_type="text/html", headers={"Retry-After": "0"}
                )
            if layer not in LAYERS:
                return web.Response(text="no such layer")
            if not set(BOX) <= set(query):
                return web.Response(text="no ra,dec bbox")
            rows = self.sky and self.sky.box(*(float(query[name]) for name in BOX))
            if rows is None:
                return web.Response(status=500, text=HTML, content_type="text/html")
            stream = io.BytesIO()
            fits.BinTableHDU(rows).writeto(stream)
            return web.Response(body=stream.getvalue(), content_type="image/fits")
        finally:
            self.boxes_at_once -= 1

    async def _bad(self, request: web.Request, fault: str, what: tuple[float, float, int, str, str, float]):
        ra, dec, size, bands, layer, pixscale = what
        name, _, number = fault.partition(" ")
        spoiled: dict[str, object] = {}
        if name == "429":
            when = {"": {}, "date": {"Retry-After": "Sun, 08 Feb 2026 22:13:41 GMT"}}
            headers = when.get(number, {"Retry-After": number})
            return web.Response(status=429, headers=headers)
        if name in ("400", "404", "500", "502", "503"):
            return web.Response(status=int(name), text="" if number == "bare" else HTML, content_type="text/html")
        if name == "gzip":
            packed = gzip.compress(bytes(20_000_000))
            return web.Response(body=packed, headers={"Content-Encoding": "gzip"})
        if name == "layer":
            return web.Response(text="no such layer")
        if name == "html":
            return web.Response(text=HTML, content_type="text/html")
        if name == "reset":
            request.transport.abort()
            return web.Response()
        if name == "slow":
            await asyncio.sleep(float(number))
        if name == "shape":
            what = (ra, dec, size - 5, bands, layer, pixscale)
        elif name == "bands":
            what = (ra, dec, size, "griz", layer, pixscale)
        elif name == "position":
            spoiled = {"CRVAL1": ra + 0.001}
        elif name == "scale":
            what = (ra, dec, size, bands, layer, 0.5)
        elif name == "release":
            spoiled = {"VERSION": "DR8"}
        elif name == "planes":
            spoiled = {"planes": pixels(ra, dec, size, "griz")}
        elif name == "ints":
            spoiled = {"planes": np.ones((3, size, size), np.int16)}
        elif name in ("zero", "nan", "hole", "half"):
            planes = pixels(ra, dec, size, bands)
            if name == "hole":
                planes[1, size // 2, size // 2] = np.nan
            elif name == "half":
                planes[1, : size // 2] = 0.0
            else:
                planes[1] = 0.0 if name == "zero" else np.nan
            spoiled = {"planes": planes}
        body = answer(*what, **spoiled)
        if name == "drip":
            response = web.StreamResponse(headers={"Content-Length": str(len(body))})
            await response.prepare(request)
            for _ in range(200):
                await response.write(body[:100])
                await asyncio.sleep(0.05)
            return response
        if name == "short":
            if number == "honest":
                return web.Response(body=body[: len(body) - 3000])
            response = web.StreamResponse(headers={"Content-Length": str(len(body))})
            await response.prepare(request)
            await response.write(body[: len(body) - 3000])
            request.transport.close()
            return response
        return web.Response(body=body, content_type="image/fits")


@contextmanager
def serving() -> Iterator[Service]:
    """A running service, in a thread of its own, that ends with the block."""
    service = Service()
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    stop: asyncio.Event

    async def serve() -> None:
        nonlocal stop
        stop = asyncio.Event()
        app = web.Application()
        app.router.add_get("/viewer/fits-cutout", service.respond)
        app.router.add_get("/viewer/{layer}/cat.fits", service.catalog)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        service.url = f"http://127.0.0.1:{port}/viewer"
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert ready.wait(20)
    try:
        yield service
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        loop.close()
