"""What `selection fit` reads, as if scored by a frozen toy: injections, hosts, controls, lenses of known p_det."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from lensctl.frozen import layout
from lensctl.io.provenance.steps import Step, extend, from_json, stamp, step_input
from lensctl.io.tables.files import write_table
from lensctl.rules import split
from lensctl.rules.config import json_value
from lensctl.rules.survey import LS_DR10
from lensctl.selection import fit
from tests.toys import frozen as frozen_toy
from tests.toys import known_detection

ARC_NOISE = 0.05


def places(count: int, per_pixel: int, part: str = "test") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ra, dec and pixel of galaxies at the middle of pixels of one split."""
    import healpy

    pixels = np.arange(40_000, 90_000)
    pixels = pixels[split.splits_of(pixels) == part][: -(-count // per_pixel)]
    ra, dec = healpy.pix2ang(split.NSIDE, pixels, nest=True, lonlat=True)
    each = np.repeat(np.arange(len(pixels)), per_pixel)[:count]
    spread = np.arange(count) % per_pixel * 1e-3
    return ra[each] + spread, dec[each], pixels[each]


class Toy:
    """Tables by the scores of a frozen model: `hosts`, `injections`, `control(...)`, `vary(...)`, `real(...)`."""

    def __init__(self, frozen: Path, hosts: int = 1200, seed: int = 0) -> None:
        self.facts = json_value((frozen / layout.FROZEN).read_bytes())
        self.chain = from_json((frozen / layout.PROVENANCE).read_bytes(), "frozen")
        points = json_value((frozen / layout.THRESHOLDS).read_bytes())["points"]
        self.points = {point["name"]: point["logit"] for point in points if point["logit"] is not None}
        self.level = self.points["p=0.5"]
        self.made = known_detection.injections(seed, hosts=hosts, pixels=hosts // 10)
        self.random = np.random.default_rng(seed + 1)
        n = len(self.made.p)
        self.ids = [f"host_{h}" for h in range(hosts)]
        self.ra, self.dec, self.pixel = places(hosts, 10)
        self.k = np.arange(n) % 5
        self.logit_host = self.level - 4 + self.random.normal(0, 0.3, hosts)
        self.logit = self.level + np.where(self.made.detected, 1, -1) * self.random.exponential(1.5, n) + 1e-6
        self.logit = np.where(self.made.detected, self.logit, np.minimum(self.logit, self.level - 1e-6))

    def stamped(self, columns: dict[str, object], digest: str | None = None, tta: bool = False) -> pa.Table:
        """A table with the chain of a score by the model, or by that of another digest."""
        model = step_input("model", "frozen", digest or self.facts["model_digest"], self.chain)
        table = pa.table(columns)
        return stamp(table, extend(Step("score", {"tta": tta}, (model,)), self.chain))

    def host_columns(self) -> dict[str, object]:
        n = len(self.ids)
        return {
            "galaxy_id": self.ids,
            "ra": self.ra,
            "dec": self.dec,
            "healpix_128": self.pixel,
            "split": ["test"] * n,
            "cutout_ok": np.ones(n, bool),
            "logit": self.logit_host,
        }

    def injection_columns(self, control: str = "", vary: str = "") -> dict[str, object]:
        host, n = self.made.host, len(self.made.p)
        columns: dict[str, object] = {
            "galaxy_id": [f"host_{h}#{k}" for h, k in zip(host, self.k, strict=True)],
            "host_id": [f"host_{h}" for h in host],
            "k": self.k,
            "control": [control] * n,
            "vary": [vary] * n,
            "healpix_128": self.pixel[host],
            "cutout_ok": np.ones(n, bool),
            "status": ["ok"] * n,
            "lens_phi": self.made.p,
            "source_model": np.where(self.k % 2 == 0, "sersic", "clumpy").tolist(),
            "design_digest": ["sha256:" + "d" * 64] * n,
            "logit": self.logit,
            **self.made.values,
        }
        return columns | observed(self.made, self.random)

    def real_columns(self, lenses: int = 300, seed: int = 9, easier: float = 0.0) -> dict[str, object]:
        """Lenses that are injections of another draw; `easier` is added to their logits."""
        made = known_detection.injections(seed, hosts=lenses, per_host=1, pixels=lenses // 3)
        random = np.random.default_rng(seed)
        logit = self.level + np.where(made.detected, 1, -1) * random.exponential(1.5, lenses) + easier
        _, _, pixel = places(lenses, 3)
        columns: dict[str, object] = {
            "galaxy_id": [f"lens_{i}" for i in range(lenses)],
            "tier": np.where(np.arange(lenses) % 5 == 0, "A", "B").tolist(),
            "split": ["test"] * lenses,
            "healpix_128": pixel,
            "logit": logit,
            "psfsize_r": made.values["psfsize_r"],
            "mag_z": made.values["mag_z"],
        }
        return columns | observed(made, random)

    def write(self, folder: Path, **tables: pa.Table) -> None:
        """Injections, hosts, and other tables by name."""
        standard = {"injections": self.stamped(self.injection_columns()), "hosts": self.stamped(self.host_columns())}
        for name, table in (standard | tables).items():
            write_table(table, str(folder / f"{name}.parquet"), overwrite=True)


def observed(made: known_detection.Injections, random: np.random.Generator) -> dict[str, object]:
    """Observables that follow the axes."""
    n = len(made.p)
    v = made.values
    columns: dict[str, object] = {
        "obs_theta": v["theta_e"] * np.exp(ARC_NOISE * random.normal(size=n)),
        "obs_snr_g": 10 ** (0.4 * (24 - v["arc_mag_r"])) + random.normal(0, 0.3, n),
        "obs_contrast": 10 ** (-0.4 * (v["arc_mag_r"] - v["mag_z"])) / v["theta_e"],
        "obs_delta_g_minus_r": v["delta_g_minus_r"] + 0.05 * random.normal(size=n),
        "obs_asymmetry": random.uniform(size=n),
    }
    columns |= {f"obs_mag_{band}": v["mag_z"] + 0.5 for band in LS_DR10.bands}
    columns |= {f"art_noise_{band}": random.normal(1, 0.1, n) for band in LS_DR10.bands}
    columns |= {name: random.normal(0, 7, n) for name in ("obs_arc_x_px", "obs_arc_y_px")}
    return columns | {
        name: np.zeros(n) for name in ("art_sharpness_z", "art_nan_frac", "art_zero_frac", "art_offset_px")
    }


def fitted(tables: Path, out: Path, model: Path, **options: object) -> dict[str, object]:
    """What `selection fit` says of the tables of a folder, at p=0.5 with few draws unless told otherwise."""
    given = {"hosts": tables / "hosts.parquet", "frozen": model, "rounds": 100, "threshold": ["p=0.5"], **options}
    injections = given.pop("injections", tables / "injections.parquet")
    with frozen_toy.tiny_network():
        return fit(injections, out, **given)


def at(values: object, place: int, value: object) -> list[object]:
    """A column with one value changed."""
    made = list(values)
    made[place] = value
    return made
