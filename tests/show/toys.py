"""A file that `lensctl show` is given."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lensctl.io.cutouts import npz


def an_npz(path: Path, image: np.ndarray, **meta: object) -> Path:
    facts = {"galaxy_id": "0001m002_7", "ra": 1.0, "dec": -2.0, **meta}
    npz.write_npz(path, image, {f"meta_{key}": np.array(value) for key, value in facts.items()})
    return path
