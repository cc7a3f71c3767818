"""Random numbers of an injection: each a function of seed, galaxy, number and purpose, whatever else is drawn."""

from __future__ import annotations

import hashlib

import numpy as np

GEOMETRY, SOURCE, NOISE = "geometry", "source", "noise"


def stream(seed: int, host_id: str, k: int, purpose: str) -> np.random.Generator:
    """Generator of one purpose of one injection: counter-based, keyed by a hash of its arguments.

    Row k of five injections a host is row k of ten, and a control draws what its injection draws.
    """
    key = hashlib.sha256(f"{seed}:{host_id}:{k}:{purpose}".encode()).digest()[:16]
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "big")))
