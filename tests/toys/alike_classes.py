"""Positives and negatives that differ in nothing: their table and their cutouts."""

from __future__ import annotations

import numpy as np

from tests.toys.manifests import galaxies, toy_manifest

SIZE = 64
POSITIVES = 90
TABLE = toy_manifest(POSITIVES, 360)
PIXELS = galaxies(TABLE, size=SIZE)
LENSES = np.flatnonzero(TABLE["label"].to_numpy() == 1)
