"""p_det of gravitational lenses for a frozen lens finder, with nothing but Python and numpy.

    from evaluate import p_det
    p_det(theta_e=1.4, arc_mag_r=21.3, ...)          # axes() has names, units and meanings

`p_det` gives NaN where no injections lie near; `predict` gives p_det, its 95 % interval and `inside` of every row;
`average` gives the weighted mean of a population with its interval. Use p_det under an integral over a population, and
never 1 / p_det as a weight where it is below 0.1. `predict` reproduces the rows of golden.csv to 1e-6,
those outside the support among them; `p_det` does with extrapolate=True.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

Array = Any  # np.ndarray
MODEL: dict[str, Any] = {}  # filled at the end of evaluate.py
MOST_ETA, NEIGHBOUR, BLOCK_ROWS = 30.0, 10, 1000


def axes() -> list[Any]:
    """Name, unit, meaning, and whether p_det is a function of the logarithm, of each axis."""
    return [dict(axis) for axis in MODEL["axes"]]


def thresholds() -> list[Any]:
    """Names of the thresholds that there is a p_det for."""
    return list(MODEL["thresholds"])


def p_det(threshold: str = "", *, extrapolate: bool = False, **values: Any) -> Array:
    """Probability that a lens is detected: axes in natural units, numbers or (N,) each, to (N,); NaN outside."""
    found = predict(threshold, **values)
    return found["p_det"] if extrapolate else np.where(found["inside"], found["p_det"], np.nan)


def predict(threshold: str = "", **values: Any) -> dict[str, Any]:
    """p_det, p_low, p_high and inside of every row, (N,) each; outside the support they are extrapolated."""
    part, rows = _chosen(threshold), _rows(values)
    p, error, inside = np.empty(len(rows)), np.empty(len(rows)), np.empty(len(rows), bool)
    for start in range(0, len(rows), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        p[block], by = _slopes(rows[block], part)
        error[block] = np.sqrt(np.maximum(((by @ part["covariance"]) * by).sum(axis=1), 0.0))
        inside[block] = _inside(rows[block], part)
    low, high = _interval(p, error, part["reach"])
    return {"p_det": p, "p_low": low, "p_high": high, "inside": inside}


def average(weight: Any = 1.0, threshold: str = "", **values: Any) -> tuple[Any, ...]:
    """Weighted mean of p_det over rows, and its 95 % interval: value, low, high."""
    part, rows = _chosen(threshold), _rows(values)
    share = np.broadcast_to(np.asarray(weight, float), len(rows))
    share = share / share.sum()
    value, slope = 0.0, np.zeros(len(part["coefficients"]))
    for start in range(0, len(rows), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        p, by = _slopes(rows[block], part)
        value += float(share[block] @ p)
        slope += by.T @ (share[block] * p * (1 - p))
    error = np.sqrt(max(slope @ part["covariance"] @ slope, 0.0)) / (value * (1 - value))
    low, high = _interval(np.array([value]), np.array([error]), part["reach"])
    return value, float(low[0]), float(high[0])


def _chosen(threshold: str) -> dict[str, Any]:
    names = thresholds()
    if not threshold and len(names) == 1:
        threshold = names[0]
    if threshold not in names:
        raise ValueError(f"name one threshold: {', '.join(names)}")
    part: dict[str, Any] = MODEL["thresholds"][threshold]
    return part


def _rows(values: dict[str, Any]) -> Array:
    """Values as columns, logarithms taken: (N, axes)."""
    names = [axis["name"] for axis in MODEL["axes"]]
    if set(values) != set(names):
        raise ValueError(f"give {', '.join(names)}")
    columns = np.broadcast_arrays(*(np.atleast_1d(np.asarray(values[name], float)) for name in names))
    rows = np.stack(columns, axis=1).astype(float)
    for at, axis in enumerate(MODEL["axes"]):
        if not np.isfinite(rows[:, at]).all() or (axis["log"] and not (rows[:, at] > 0).all()):
            raise ValueError(f"{axis['name']} has values that are none: give {axis['meaning']}, {axis['unit']}")
        if axis["log"]:
            rows[:, at] = np.log(rows[:, at])
    return rows


def _splines(values: Array, knots: Array) -> Array:
    """Cubic B-splines by the recursion of Cox and de Boor: (N,) to (N, knots + 2)."""
    t = np.concatenate([np.repeat(knots[0], 3), knots, np.repeat(knots[-1], 3)])
    x = np.clip(values, knots[0], knots[-1])[:, None]
    last = np.clip(np.searchsorted(knots, x[:, 0], "right") - 1, 0, len(knots) - 2) + 3
    found = (np.arange(len(t) - 1) == last[:, None]).astype(float)
    for degree in (1, 2, 3):
        count = len(t) - 1 - degree
        rise, fall = t[degree : degree + count] - t[:count], t[degree + 1 : degree + 1 + count] - t[1 : 1 + count]
        up = np.where(rise > 0, (x - t[:count]) / np.where(rise > 0, rise, 1), 0)
        down = np.where(fall > 0, (t[degree + 1 : degree + 1 + count] - x) / np.where(fall > 0, fall, 1), 0)
        found = up * found[:, :-1] + down * found[:, 1:]
    return found


def _functions(rows: Array, part: dict[str, Any]) -> Array:
    blocks = [np.ones((len(rows), 1))]
    for at, knots in enumerate(part["knots"]):
        if len(knots) > 1:
            blocks.append(_splines(rows[:, at], knots)[:, 1:])
    for a, b in part["pairs"]:
        one, other = (_splines(rows[:, at], part["knots"][at][[0, -1]]) for at in (a, b))
        blocks.append((one[:, :, None] * other[:, None, :]).reshape(len(rows), -1))
    return np.hstack(blocks)


def _logistic(x: Array) -> Array:
    return 1 / (1 + np.exp(-np.clip(x, -700, 700)))


def _slopes(rows: Array, part: dict[str, Any]) -> tuple[Any, ...]:
    """p_det, and the derivative of its logit by each coefficient."""
    design, beta = _functions(rows, part), part["coefficients"]
    eta = np.clip(design @ beta[:-1], -MOST_ETA, MOST_ETA)
    found, missed = _logistic(eta), _logistic(-eta)
    ceiling, above = (_logistic(sign * (beta[-1] + part["ceiling_mean"])) for sign in (1, -1))
    beyond = missed + found * above
    by = np.hstack([design * (missed / beyond)[:, None], (above / beyond)[:, None]])
    return ceiling * found, by


def _interval(p: Array, error: Array, reach: float) -> tuple[Any, ...]:
    middle = np.log(p) - np.log1p(-p)
    return _logistic(middle - reach * error), _logistic(middle + reach * error)


def _inside(rows: Array, part: dict[str, Any]) -> Array:
    """Whether the tenth nearest injection is near enough, and no axis beyond the injections."""
    support = part["support"]
    points, scaled = support["points"].astype(float), rows / support["scale"]
    square = sum((scaled[:, [at]] - points[:, at]) ** 2 for at in range(points.shape[1]))
    place = min(NEIGHBOUR, len(points)) - 1
    near = np.sqrt(np.partition(square, place, axis=1)[:, place]) <= support["reach"]
    return near & ((rows >= support["least"]) & (rows <= support["greatest"])).all(axis=1)


def decoded(value: Any) -> Any:
    """Plain values with arrays in place of their base64, little-endian."""
    if isinstance(value, dict) and set(value) == {"dtype", "shape", "base64"}:
        return np.frombuffer(base64.b64decode(value["base64"]), value["dtype"]).reshape(value["shape"])
    if isinstance(value, dict):
        return {name: decoded(each) for name, each in value.items()}
    return [decoded(each) for each in value] if isinstance(value, list) else value
