"""A survey from a YAML file, from its name, or from the text that provenance carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from lensctl.rules.config import json_value, nearest, read_config
from lensctl.rules.errors import InputError
from lensctl.rules.survey import BUILT_IN, Survey


def named_survey(name: str) -> Survey:
    """The survey of `--survey`: built in, of a YAML file (which may start from a built-in `base`), or told in full.

    Raises InputError for an unknown name, or a file that does not describe a survey.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    if name.startswith("{"):
        return survey_of_text(name, "--survey")
    if not name.endswith((".yaml", ".yml")):
        raise InputError(
            f"no survey '{name}'{nearest(name, BUILT_IN)}", f"use {', '.join(BUILT_IN)}, or the name of a .yaml file"
        )
    values = read_config(Path(name), ["base", *(field.name for field in fields(Survey))])
    base = values.pop("base", None)
    if base is not None:
        if base not in BUILT_IN:
            raise InputError(f"{name}: no survey '{base}' to start from", f"base is one of {', '.join(BUILT_IN)}")
        values = {**json_value(BUILT_IN[base].as_text), **values}
    values["columns"] = {name: _column(value) for name, value in _mapping(values.get("columns", {})).items()}
    survey = _survey_of(values, name)
    if survey.name in BUILT_IN and survey != BUILT_IN[survey.name]:
        raise InputError(f"{name}: '{survey.name}' is built in, and differs from this", "give it a name of its own")
    return survey


def survey_of_text(text: Any, where: str) -> Survey:
    """The survey that provenance names (if built in) or describes; InputError if it does neither."""
    if text in BUILT_IN:
        return BUILT_IN[text]
    try:
        values = json_value(text)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: no survey '{str(text)[:40]}' is known", "update lensctl") from error
    return _survey_of(values, where)


def text_of_survey(survey: Survey) -> str:
    """The survey's name if it is built in, else all its values; the inverse of `survey_of_text`."""
    return survey.name if BUILT_IN.get(survey.name) == survey else survey.as_text


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {"columns": value}  # pydantic says what is wrong


def _column(value: Any) -> Any:
    """A column in its full form; `name` alone is the catalogue's column, and `from` is written `column` in Python."""
    if isinstance(value, str):
        return {"column": value}
    if isinstance(value, Mapping):
        return {"column" if key == "from" else key: part for key, part in value.items()}
    return value


def _survey_of(values: Any, where: str) -> Survey:
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(Survey).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        message = first["msg"][:1].lower() + first["msg"][1:]
        raise InputError(f"{where}: {place or 'survey'}: {message}", "docs/surveys.md lists what it needs") from error
    except InputError as error:
        raise InputError(f"{where}: {error}", error.fix) from error
