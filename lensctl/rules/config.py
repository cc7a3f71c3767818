"""Texts that people write and files hold, YAML and JSON, parsed strictly: a typo is an error, and so is a bomb."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lensctl.rules.errors import InputError, LensctlError, first_line

MOST_BYTES = 1 << 20
"""Longest file of settings."""


YAML_VALUES = {
    "null": (r"~|null|Null|NULL|", "~nN"),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
}
"""What plain values are by YAML 1.2 (its core schema), and how they begin; any other is text, as `no` and 1:30 are."""


def nearest(word: str, known: Iterable[str]) -> str:
    """The most similar known word, as " (did you mean 'x'?)", or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean '{close[0]}'?)" if close else ""


def json_value(text: str | bytes) -> Any:
    """The value of a JSON text; ValueError if it is none, or is nested too deeply to be anything of ours."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


@contextmanager
def as_written(where: str, fix: str) -> Iterator[None]:
    """Turn what our code raises as it takes values from JSON of another shape than lensctl wrote into InputError."""
    try:
        yield
    except LensctlError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        reason = f"{type(error).__name__}: {first_line(error, 80)}"
        raise InputError(f"{where}: not as lensctl wrote it ({reason})", fix) from error


def read_config(path: Path, known: Iterable[str]) -> dict[str, Any]:
    """Settings of a YAML file, a mapping with known keys; dashes in keys become underscores.

    Raises InputError for a missing or very long file, invalid YAML, references, a duplicate key, or an unknown key.
    """
    import yaml

    class Strict(yaml.SafeLoader):
        """A loader that refuses duplicate keys, where YAML silently takes the last, and references, which multiply."""

        def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
            if self.check_event(yaml.AliasEvent):
                line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
                raise InputError(f"{path}: a reference (*name) in line {line}", "write the value out")
            return super().compose_node(parent, index)

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
            mapping: dict[Hashable, Any] = {}
            for key_node, value_node in node.value:
                key = self.construct_object(key_node, deep=True)
                if key in mapping:
                    raise InputError(
                        f"{path}: setting '{key}' is given twice (line {key_node.start_mark.line + 1})",
                        "keep one of them",
                    )
                mapping[key] = self.construct_object(value_node, deep=True)
            return mapping

        def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
            text = str(self.construct_scalar(node))
            base = {"0o": 8, "0x": 16}.get(text[:2], 10)
            return int(text if base == 10 else text[2:], base)

        def construct_yaml_str(self, node: yaml.ScalarNode) -> str:
            text = str(self.construct_scalar(node))
            text.encode()  # "\ud800" is half a character
            return text

    Strict.yaml_implicit_resolvers = {}
    for name, (pattern, first) in YAML_VALUES.items():
        letters = [*first, ""] if name == "null" else list(first)
        Strict.add_implicit_resolver(f"tag:yaml.org,2002:{name}", re.compile(f"(?:{pattern})$"), letters)
    Strict.add_constructor("tag:yaml.org,2002:int", Strict.construct_yaml_int)
    Strict.add_constructor("tag:yaml.org,2002:str", Strict.construct_yaml_str)

    try:
        with Path(path).open("rb") as file:
            text = file.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            raise InputError(f"{path}: longer than any file of settings", "name a YAML file of settings")
        values = yaml.load(text.decode("utf-8"), Loader=Strict)
    except OSError as error:
        raise InputError(f"{path}: config cannot be read ({error.strerror})", "name a YAML file") from error
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where else ""
        raise InputError(f"{path}: not valid YAML{line}", "write it as 'key: value' lines") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InputError(f"{path}: a config must be a mapping of settings", "write it as 'key: value' lines")
    settings = {str(key).replace("-", "_"): value for key, value in values.items()}
    names = list(known)
    for name in settings:
        if name not in names:
            raise InputError(f"{path}: no setting '{name}'{nearest(name, names)}", "see --help for all settings")
    return settings
