"""Figures of matplotlib as bytes that depend on the figure alone: no timestamp, no random ids, no other font."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import matplotlib
from matplotlib.figure import Figure

SETTINGS: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e5e5e5",
    "legend.frameon": False,
    "savefig.dpi": 160,
    "backend": "agg",
    "svg.hashsalt": "lensctl",
    "svg.fonttype": "path",
    "pdf.fonttype": 3,
    "text.usetex": False,
}
NO_DATES: Mapping[str, Mapping[str, None]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "svg": {"Date": None, "Creator": None},
}


def render(figure: Figure, kind: str) -> bytes:
    """A figure as png, pdf or svg; reproducible byte for byte."""
    buffer = io.BytesIO()
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **SETTINGS}):
        figure.savefig(buffer, format=kind, metadata=dict(NO_DATES[kind]))
    return buffer.getvalue()
