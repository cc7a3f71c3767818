"""What a fitted selection function is to those who use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class Prediction(Protocol):
    """Probabilities of detection, each (N,)."""

    @property
    def p(self) -> Floats:
        """p_det."""

    @property
    def low(self) -> Floats:
        """Lower end of its 95 % interval."""

    @property
    def high(self) -> Floats:
        """Upper end of its 95 % interval."""

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Whether a row lies inside the support of the injections."""


class Mean(Protocol):
    """A weighted mean of p_det."""

    @property
    def value(self) -> float:
        """The mean."""

    @property
    def low(self) -> float:
        """Lower end of its 95 % interval: errors of p_det are shared by rows."""

    @property
    def high(self) -> float:
        """Upper end."""


class Predictor(Protocol):
    """p_det as a function of axes in natural units."""

    def predict(self, values: Mapping[str, Floats]) -> Prediction:
        """p_det of rows: (N,) float64 each."""

    def mean(self, values: Mapping[str, Floats], weight: Floats | None = None) -> Mean:
        """The weighted mean of p_det over rows."""

    def share_errors(self, values: Mapping[str, Floats], weight: Floats, place: NDArray[np.int64]) -> Floats:
        """Half width of the interval that errors of p_det give the share of found lenses in each bin."""


@dataclass(frozen=True)
class Injections:
    """The injections that a selection function was fitted to, without hosts that are detected without an arc.

    Parameters
    ----------
    values : mapping of (N,) float64
        Axes, and the magnitude that the design ends in, where known.
    detected : (N,) bool
    host : (N,)
        Identity of each host: injections of one are no independent trials.
    pixel : (N,) int, optional
        HEALPix pixel of the host.
    """

    values: Mapping[str, Floats]
    detected: NDArray[np.bool_]
    host: NDArray[np.generic]
    pixel: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Selection:
    """A fitted selection function at one threshold.

    Parameters
    ----------
    threshold : str
        Name, such as fpr=0.001.
    axes : tuple of str
    predictor : Predictor
    injections : Injections
    systematic : Systematic, optional
        What assumptions may change p_det by.
    """

    threshold: str
    axes: tuple[str, ...]
    predictor: Predictor
    injections: Injections
    systematic: Systematic | None = None


class Systematic(Protocol):
    """How far assumptions of the injection may shift p_det: (N,) float64."""

    def __call__(self, values: Mapping[str, Floats]) -> Floats:
        """Of rows."""
