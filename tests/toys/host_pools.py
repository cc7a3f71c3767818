"""A pool all over the sky in which half of the galaxies could be lenses, and positives of another kind."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from lensctl.rules import derived
from lensctl.rules.survey import LS_DR10, Survey
from tests.toys.manifests import toy_positions

MATCHED = ("mag_z", "g_minus_r", "r_minus_z", "shape_r")


def pool(
    n: int,
    seed: int = 0,
    *,
    mag: tuple[float, float] = (18.9, 0.5),
    g_r: tuple[float, float] = (1.4, 0.15),
    r_z: tuple[float, float] = (0.8, 0.08),
    log_size: tuple[float, float] = (0.2, 0.3),
    spoilt: float = 0.5,
    survey: Survey = LS_DR10,
) -> pa.Table:
    """Rows of a pool; each quantity is normal (mean, scatter); a share breaks some criterion of hosts."""
    rng = np.random.default_rng(seed)
    ra, dec = toy_positions(n, seed)
    mag_z, gr, rz = (rng.normal(*of, n) for of in (mag, g_r, r_z))
    broken = rng.random(n) < spoilt
    types = np.where(broken & (rng.random(n) < 0.5), rng.choice(["REX", "SER"], n), "DEV")
    flux = {
        band: 10 ** (0.4 * (22.5 - at)) for band, at in zip("zrg", (mag_z, mag_z + rz, mag_z + rz + gr), strict=True)
    }
    columns = {
        "galaxy_id": [f"{seed}_{i}" for i in range(n)],
        "ra": ra,
        "dec": dec,
        "type": types,
        "sersic": np.where(types == "DEV", 4.0, rng.uniform(0.5, 6.0, n)).astype("f4"),
        "maskbits": np.where(broken & (rng.random(n) < 0.3), 2, 0).astype("i4"),
        "shape_r": np.exp(rng.normal(*log_size, n)).astype("f4"),
        "shape_e1": np.zeros(n, "f4"),
        "shape_e2": np.where(broken, 0.6, 0.0).astype("f4"),
        **{f"flux_{band}": values.astype("f4") for band, values in flux.items()},
        **{f"nobs_{band}": np.where(broken, rng.integers(0, 6, n), 5).astype("i2") for band in "grz"},
    }
    return derived.with_derived(pa.table(columns), survey)


def positives(n: int, seed: int = 1, **of: tuple[float, float]) -> pa.Table:
    """Lenses as `crossmatch` matches them, whose quantities differ from the pool's."""
    chosen = {"mag": (18.6, 0.4), "g_r": (1.3, 0.12), "r_z": (0.85, 0.07), "log_size": (0.35, 0.25), **of}
    made = pool(n, seed, spoilt=0.0, **chosen)  # type: ignore[arg-type]
    return made.append_column("tier", pa.array(["A"] * n))


def catalogue(ra: np.ndarray, dec: np.ndarray) -> pa.Table:
    """A lens catalogue."""
    n = len(ra)
    return pa.table({"name": [f"L{i}" for i in range(n)], "ra": ra, "dec": dec, "grading": ["confident"] * n})
