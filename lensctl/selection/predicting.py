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
    """Probabilities of detection, each (N,): p, its 95 % interval, and whether a row lies inside the support."""

    @property
    def p(self) -> Floats: ...
    @property
    def low(self) -> Floats: ...
    @property
    def high(self) -> Floats: ...
    @property
    def inside(self) -> NDArray[np.bool_]: ...


class Predictor(Protocol):
    """p_det as a function of axes in natural units."""

    def predict(self, values: Mapping[str, Floats]) -> Prediction: ...


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
    systematic : Predictor-like, optional
        What assumptions may change p by (`p_sys`): a function of axes to (N,) float64.
    """

    threshold: str
    axes: tuple[str, ...]
    predictor: Predictor
    injections: Injections
    systematic: Systematic | None = None


class Systematic(Protocol):
    """How far assumptions of the injection may shift p_det: (N,) float64."""

    def __call__(self, values: Mapping[str, Floats]) -> Floats: ...
