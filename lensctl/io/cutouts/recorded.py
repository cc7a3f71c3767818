"""The SHA-256 recorded for each cutout when it was made, and the comparison of its pixels with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lensctl.rules.errors import InputError
from lensctl.rules.quality import Images, fingerprints

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Recorded:
    """Id and SHA-256 of each cutout of a store or manifest, (N,) each; a null SHA-256 is not known.

    A cutout without pixels is compared like any other: what was recorded is the SHA-256 of its NaNs.
    """

    galaxy_id: pa.Array
    sha256: pa.Array

    @property
    def note(self) -> str:
        """What to tell people of cutouts that cannot be compared; empty if all can be."""
        unknown, all_ = self.sha256.null_count, len(self.sha256)
        return f"{unknown:,} of {all_:,} cutouts have no cutout_sha256: they cannot be compared" if unknown else ""

    def refuse_other_pixels(self, rows: NDArray[np.int64], images: Images, file: str, fix: str) -> None:
        """Raise InputError for the first cutout whose pixels are not those recorded.

        Parameters
        ----------
        rows : (n,) int
        images : (n, S, S, B) float32
            Their whole cutouts, as read.
        file, fix : str
            Where they were read, and what to do if they differ.
        """
        for row, known, found in zip(rows, self.sha256.take(rows).to_pylist(), fingerprints(images), strict=True):
            if known not in (None, found):
                raise InputError(
                    f"{file}: the pixels of {self.galaxy_id[row]} (row {row}) are not those recorded for it: "
                    f"their SHA-256 differs from its cutout_sha256",
                    fix,
                )
