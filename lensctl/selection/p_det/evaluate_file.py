"""`evaluate.py` and `golden.csv`: p_det for those who have no lensctl."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.selection.p_det import standalone

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.selection.p_det.detection import Detection

GOLDEN_ROWS = 64


def text_of(detections: Mapping[str, Detection], title: str) -> str:
    """The text of evaluate.py: the code of `standalone`, and p_det by the name of its threshold.

    Parameters
    ----------
    title : str
        A line that says of which model it is.
    """
    first = next(iter(detections.values()))
    model = {
        "title": title,
        "axes": [{key: getattr(axis, key) for key in ("name", "log", "unit", "meaning")} for axis in first.axes],
        "thresholds": {name: _part(detection) for name, detection in detections.items()},
    }
    code = Path(standalone.__file__).read_text(encoding="utf-8")
    return f"{code}\n\nMODEL = decoded({model!r})\n"


def _part(detection: Detection) -> dict[str, Any]:
    """What evaluate.py needs of a detection."""
    return {name: value for name, value in detection.as_dict().items() if name not in ("axes", "fine", "facts")}


def golden(detections: Mapping[str, Detection], values: Mapping[str, NDArray[np.float64]]) -> pa.Table:
    """Rows that evaluate.py must reproduce: a column an axis, threshold, p_det, p_low, p_high, inside.

    Evenly chosen rows of the injections, and as many in which each axis is of another row, so that some lie outside.
    """
    import pyarrow as pa

    axes = next(iter(detections.values())).axes
    count = len(values[axes[0].name])
    chosen = np.unique(np.linspace(0, count - 1, GOLDEN_ROWS // 2).astype(np.int64))
    rows = {
        axis.name: np.concatenate([values[axis.name][chosen], np.roll(values[axis.name][chosen], 7 * at)])
        for at, axis in enumerate(axes)
    }
    parts = []
    for name, detection in detections.items():
        found = detection.predict(rows)
        columns = {
            "threshold": pa.repeat(name, len(found.p)),
            **rows,
            "p_det": found.p,
            "p_low": found.low,
            "p_high": found.high,
            "inside": found.inside,
        }
        parts.append(pa.table(columns))
    return pa.concat_tables(parts)
