"""Ways in which bytes go wrong: at random, by a seed, or in the shape of what they say."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

import yaml

INTEGERS = (0, -1, (1 << 31) - 1, (1 << 63) - 1)
ODD_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1 << 64, 10**400, 1e308, float("inf"), float("nan"), "", "x", "\0", "../x", [], [[]], [None], {},
    {"": 0}, {"a": {"b": [1]}}, "\ud800",
)  # fmt: skip
"""What stands where another value should."""


NESTED, DEEP = "NESTED", tuple(b"[" * depth + b"]" * depth for depth in (20, 200, 20_000))


def damaged(data: bytes, random: Random) -> bytes:
    """The bytes with one to three changes."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        data = random.choice(CHANGES)(data, random)
    return data


def _flip_bits(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 4, 32))):
        if changed:
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _replace(data: bytes, random: Random) -> bytes:
    start, stop = _span(data, random)
    return data[:start] + random.randbytes(stop - start) + data[stop:]


def _truncate(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _duplicate(data: bytes, random: Random) -> bytes:
    start, stop = _span(data, random)
    return data[:stop] + data[start:]


def _insert_zeros(data: bytes, random: Random) -> bytes:
    start, stop = _span(data, random)
    return data[:start] + bytes(stop - start) + data[start:]


def _swap(data: bytes, random: Random) -> bytes:
    (first, one), (second, two) = sorted((_span(data, random), _span(data, random)))
    if one > second:
        return data[:first] + data[second:]
    return data[:first] + data[second:two] + data[one:second] + data[first:one] + data[two:]


def _overwrite_integer(data: bytes, random: Random) -> bytes:
    width = random.choice((4, 8))
    if len(data) < width:
        return data
    at = random.randrange(len(data) // width) * width
    value = random.choice(INTEGERS) & ((1 << 8 * width) - 1)
    return data[:at] + value.to_bytes(width, random.choice(("little", "big"))) + data[at + width :]


CHANGES = (_flip_bits, _replace, _truncate, _duplicate, _insert_zeros, _swap, _overwrite_integer, _overwrite_integer)


def _span(data: bytes, random: Random) -> tuple[int, int]:
    start = random.randrange(len(data) + 1)
    return start, min(len(data), start + random.choice((1, 2, 8, 64, 512)))


def damaged_json(data: bytes, random: Random) -> bytes:
    """JSON of another shape, or damaged bytes."""
    return _said_otherwise(data, random, json.loads, json.dumps)


def damaged_lines(data: bytes, random: Random) -> bytes:
    """JSON lines, one of another shape, or damaged bytes."""
    lines = data.splitlines(keepends=True)
    at = random.randrange(len(lines))
    lines[at] = damaged_json(lines[at], random).replace(b"\n", b"") + b"\n"
    return b"".join(lines)


def damaged_yaml(data: bytes, random: Random) -> bytes:
    """YAML of another shape, or damaged bytes."""
    return _said_otherwise(data, random, yaml.safe_load, lambda value: yaml.safe_dump(value, sort_keys=False))


def _said_otherwise(data: bytes, random: Random, read: Callable[[bytes], Any], write: Callable[[Any], str]) -> bytes:
    if random.random() < 0.3:
        return damaged(data, random)
    try:
        said = write(_reshaped(read(data), random)).encode("utf-8", "surrogatepass")
        text = said.replace(b'"%s"' % NESTED.encode(), NESTED.encode()).replace(NESTED.encode(), random.choice(DEEP))
    except (ValueError, yaml.YAMLError):
        return damaged(data, random)
    if random.random() < 0.1:
        at = random.randrange(len(text) + 1)
        return text[:at] + b"\xff\xfe" + text[at:]
    return text


def _reshaped(value: Any, random: Random) -> Any:
    """A value with one of its parts replaced, left out, or wrapped."""
    places = list(_places(value))
    if not places or random.random() < 0.05:
        return random.choice((*ODD_VALUES, [value]))
    part, key = random.choice(places)
    how = random.randrange(6)
    if how == 0:
        del part[key]
    elif how == 1:
        part[key] = [part[key]] if random.random() < 0.5 else {"value": part[key]}
    elif how == 2:
        part[key] = NESTED
    else:
        part[key] = random.choice(ODD_VALUES)
    return value


def _places(value: Any) -> Any:
    """Every container and key in a value: those near the top come as often as all below them."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in list(inner):
        yield value, key
        yield from _places(each)
