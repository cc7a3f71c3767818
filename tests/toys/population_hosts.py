"""Hosts with redshifts, and conditions that differ from one to the next."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from tests.toys import hosts


def rows_of(count: int, seed: int = 0) -> pa.Table:
    """Hosts as `lensctl hosts` writes them: redshift, pixel, size, seeing, depth and dust of each."""
    rng = np.random.default_rng(seed)
    made = hosts.rows_of(count, seed)
    columns = {
        "z_host": np.clip(rng.gamma(8, 0.055, count), 0.05, 0.95).astype(np.float32),
        "healpix_128": rng.integers(0, max(count // 5, 1), count),
        "shape_r": np.exp(rng.normal(0.3, 0.4, count)).astype(np.float32),
        **{
            f"psfsize_{band}": (size * np.exp(rng.normal(0, 0.1, count))).astype(np.float32)
            for band, size in zip("grz", hosts.PSFSIZE, strict=True)
        },
        **{f"psfdepth_{band}": (300 * np.exp(rng.normal(0, 0.3, count))).astype(np.float32) for band in "grz"},
        **{f"mw_transmission_{band}": rng.uniform(0.85, 0.99, count).astype(np.float32) for band in "grz"},
    }
    for name, values in columns.items():
        at = made.schema.get_field_index(name)
        column = pa.array(values)
        made = made.set_column(at, name, column) if at >= 0 else made.append_column(name, column)
    return made


def without_redshift(made: pa.Table) -> pa.Table:
    """The same hosts, of which no redshift is known: null, as `lensctl hosts` writes it."""
    at = made.schema.get_field_index("z_host")
    return made.set_column(at, "z_host", pa.nulls(made.num_rows, pa.float32()))
