"""Criteria as expressions over columns, such as `nobs_z >= 3` or `type in ('SER', 'DEV') and flux_r >= 5`.

The language is a small part of Python's, evaluated on whole columns: comparisons (chained ones too), `in`, `and`,
`or`, arithmetic, and the FUNCTIONS. There is no `not`: a comparison with an unknown value (NaN, or empty text) is
false, so write the opposite comparison. Numbers are compared in float64 on the stored values.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Column = Callable[[str], NDArray[Any]]

FUNCTIONS = {
    "unknown": "unknown(x): x is NaN or empty",
    "abs": "abs(x)",
    "sqrt": "sqrt(x)",
    "bits": "bits(maskbits, 'BRIGHT', 11): those bits of a mask, by the survey's names or by number",
}

_FIX = "compare columns and values with < <= > >= == != in, join with and, or; functions: " + ", ".join(FUNCTIONS)
_COMPARED = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq, ast.In, ast.NotIn)
_ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow)


@dataclass(frozen=True)
class Expression:
    """A criterion: true or false for each row.

    Parameters
    ----------
    text : str
    mask_bits : mapping
        Number of each named bit of a mask.

    Raises
    ------
    InputError
        Not an expression of this language; the message quotes it.
    """

    text: str
    mask_bits: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        if not _is_condition(self._tree):
            raise InputError(f"'{self.text}' is a value, not a criterion", "compare it with something")
        _check(self._tree, self.text, dict(self.mask_bits))
        if not self.columns:
            raise InputError(f"'{self.text}' names no column", _FIX)

    @functools.cached_property
    def _tree(self) -> ast.expr:
        try:
            return ast.parse(self.text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise InputError(f"'{self.text}' is not an expression", _FIX) from error

    @functools.cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns it reads, in the order of the text."""
        called = {id(node.func) for node in ast.walk(self._tree) if isinstance(node, ast.Call)}
        named = [n for n in ast.walk(self._tree) if isinstance(n, ast.Name) and id(n) not in called]
        return tuple(dict.fromkeys(node.id for node in sorted(named, key=lambda n: (n.lineno, n.col_offset))))

    def __call__(self, column: Column) -> NDArray[np.bool_]:
        """Which rows meet it.

        Parameters
        ----------
        column : callable
            Returns a column by name: (N,) numbers, booleans, or text as bytes or str.

        Returns
        -------
        (N,) bool
        """
        import numpy as np

        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            return np.asarray(_evaluate(self._tree, column, dict(self.mask_bits)), bool)


def _is_condition(node: ast.AST) -> bool:
    return isinstance(node, ast.Compare | ast.BoolOp) or (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "unknown"
    )


def _check(node: ast.expr, text: str, mask_bits: Mapping[str, int]) -> None:
    """Raise InputError for anything outside the language."""

    def refuse(why: str) -> InputError:
        return InputError(f"'{text}': {why}", _FIX)

    def value(part: ast.expr) -> None:
        if _is_condition(part):
            raise refuse("a criterion stands where a value should")
        _check(part, text, mask_bits)

    if isinstance(node, ast.BoolOp):
        for part in node.values:
            if not _is_condition(part):
                raise refuse("and, or join criteria, not values")
            _check(part, text, mask_bits)
    elif isinstance(node, ast.Compare):
        value(node.left)
        for operator, part in zip(node.ops, node.comparators, strict=True):
            if not isinstance(operator, _COMPARED):
                raise refuse("no such comparison")
            if isinstance(operator, ast.In | ast.NotIn):
                if not (isinstance(part, ast.Tuple | ast.List) and part.elts and all(map(_is_literal, part.elts))):
                    raise refuse("in needs a list of values, such as ('SER', 'DEV')")
                kinds = {isinstance(_literal(item), str) for item in part.elts}
                if len(kinds) > 1:
                    raise refuse("a list mixes text and numbers")
            else:
                value(part)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, _ARITHMETIC):
        value(node.left)
        value(node.right)
    elif isinstance(node, ast.Call):
        if not isinstance(node.func, ast.Name) or node.func.id not in FUNCTIONS or node.keywords or not node.args:
            raise refuse("no such function")
        if node.func.id == "bits":
            if not isinstance(node.args[0], ast.Name) or len(node.args) < 2:
                raise refuse("bits needs a column and some bits")
            for bit in node.args[1:]:
                known = _is_literal(bit) and (_literal(bit) in mask_bits or isinstance(_literal(bit), int))
                if not known:
                    raise refuse(f"no bit {ast.unparse(bit)}; the survey names {', '.join(mask_bits) or 'none'}")
        elif len(node.args) != 1:
            raise refuse(f"{FUNCTIONS[node.func.id].split(':')[0]} takes one value")
        else:
            value(node.args[0])
    elif not (isinstance(node, ast.Name) or _is_literal(node)):
        raise refuse(f"'{ast.unparse(node)}' is not understood")


def _is_literal(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return isinstance(node.operand, ast.Constant) and type(node.operand.value) in (int, float)
    return isinstance(node, ast.Constant) and type(node.value) in (int, float, str)


def _literal(node: ast.expr) -> Any:
    return ast.literal_eval(node)


def _evaluate(node: ast.expr, column: Column, mask_bits: Mapping[str, int]) -> Any:
    import numpy as np

    def of(part: ast.expr) -> Any:
        return _evaluate(part, column, mask_bits)

    if isinstance(node, ast.BoolOp):
        join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
        return functools.reduce(join, map(of, node.values))
    if isinstance(node, ast.Compare):
        found: Any = True
        left = of(node.left)
        for operator, part in zip(node.ops, node.comparators, strict=True):
            right = [_literal(item) for item in part.elts] if isinstance(part, ast.Tuple | ast.List) else of(part)
            found = np.logical_and(found, _compare(operator, left, right, ast.unparse(node)))
            left = right
        return found
    if isinstance(node, ast.BinOp):
        left, right = (np.asarray(of(part), np.float64) for part in (node.left, node.right))
        operations: dict[type[ast.operator], Any] = {
            ast.Add: np.add,
            ast.Sub: np.subtract,
            ast.Mult: np.multiply,
            ast.Div: np.divide,
            ast.Pow: np.power,
        }
        return operations[type(node.op)](left, right)
    if isinstance(node, ast.Call):
        name = node.func.id  # type: ignore[attr-defined]
        values = of(node.args[0])
        if name == "bits":
            named = (mask_bits.get(bit, bit) for bit in map(_literal, node.args[1:]))
            unknown = np.isnan(values) if np.asarray(values).dtype.kind == "f" else np.False_
            bits = np.where(unknown, 0, values).astype(np.int64) & sum(1 << int(bit) for bit in dict.fromkeys(named))
            return np.where(unknown, np.nan, bits) if unknown.any() else bits
        if name == "unknown":
            return np.isnan(values) if np.asarray(values).dtype.kind == "f" else np.asarray(values) == _empty(values)
        numbers = np.asarray(values, np.float64)
        return np.abs(numbers) if name == "abs" else np.sqrt(numbers)
    if isinstance(node, ast.Name):
        values = np.asarray(column(node.id))
        return values.astype(np.float64) if values.dtype.kind == "f" else values
    return _literal(node)


def _compare(operator: ast.cmpop, left: Any, right: Any, text: str) -> Any:
    """One comparison of columns or values; false where either is unknown."""
    import numpy as np

    texts = [_is_text(side) for side in (left, right)]
    if texts[0] != texts[1]:
        raise InputError(f"'{text}' compares text with numbers", "compare a column with values of its own type")
    if texts[0]:
        kind = next((np.asarray(side).dtype.kind for side in (left, right) if isinstance(side, np.ndarray)), "U")
        left, right = (_as_kind(side, kind) for side in (left, right))
    elif isinstance(right, list):
        right = np.asarray(right)
    compared: dict[type[ast.cmpop], Any] = {
        ast.Lt: np.less,
        ast.LtE: np.less_equal,
        ast.Gt: np.greater,
        ast.GtE: np.greater_equal,
        ast.Eq: np.equal,
        ast.NotEq: np.not_equal,
        ast.In: np.isin,
        ast.NotIn: functools.partial(np.isin, invert=True),
    }
    found = compared[type(operator)](left, right)
    if isinstance(operator, ast.NotEq | ast.NotIn):
        sides = (left,) if isinstance(operator, ast.NotIn) else (left, right)
        for side in sides:
            found = found & _known(side)
    return found


def _known(values: Any) -> Any:
    import numpy as np

    values = np.asarray(values)
    return ~np.isnan(values) if values.dtype.kind == "f" else values != _empty(values) if _is_text(values) else True


def _is_text(values: Any) -> bool:
    import numpy as np

    return np.asarray(values).dtype.kind in "SUO"


def _as_kind(values: Any, kind: str) -> Any:
    import numpy as np

    found = np.asarray(values)
    return np.char.encode(found, "utf-8") if kind == "S" and found.dtype.kind == "U" else found


def _empty(values: Any) -> Any:
    import numpy as np

    kind = np.asarray(values).dtype.kind
    return b"" if kind == "S" else "" if kind == "U" else None
