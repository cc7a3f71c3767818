"""The status of a cutout from the part of it that decides."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lensctl.io.imaging.streaming import Window
from lensctl.rules import quality


@given(st.integers(0, 10_000), st.sampled_from([31, 64, 101, 120]), st.integers(8, 30), st.floats(0, 1))
def test_the_part_says_what_the_whole_says_but_for_a_band_that_is_empty_in_it(seed, size, crop, max_empty):
    random = np.random.default_rng(seed)
    images = random.normal(0, 1, (12, size, size, 2)).astype(np.float32)
    for image in images:
        for band in range(2):
            low, high = np.sort(random.integers(0, size + 1, 2))
            image[low:high, :, band] = random.choice([0.0, np.nan, np.inf])
    window = Window(size, crop)
    start = size // 2 - window.side // 2
    part = images[:, start : start + window.side, start : start + window.side]
    whole, found = quality.measure(images, "", max_empty)["status"], window.status(part, max_empty)
    decided = found != "missing_band"
    assert found[decided].tolist() == whole[decided].tolist()
    assert set(whole[~decided].tolist()) <= {"missing_band", "nan_center", "half_empty", "ok"}
