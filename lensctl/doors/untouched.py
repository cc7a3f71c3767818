"""Whether the files of a frozen model are those that were frozen, each with its content."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from lensctl.doors import frozen
from lensctl.words import checks
from lensctl.words.checks import Check

GATE = "verify"


def files(folder: Path) -> Iterator[Check]:
    """The files are those that were frozen, each with its content."""
    found = frozen.listing(folder)
    yield checks.none(GATE, "neither links nor empty folders", found.odd, len(found.files) + len(found.odd))
    text = _text(folder / frozen.SUMS) if frozen.SUMS in found.files else None
    sums = None if text is None else frozen.parse_sums(text)
    if sums is None:
        note = "it was touched" if frozen.SUMS in found.files else "it is missing"
        yield Check(GATE, "SHA256SUMS can be read", False, note, limit="as written", n=1, offenders=(frozen.SUMS,))
        return
    yield Check(GATE, "SHA256SUMS can be read", True, "as written", limit="as written", n=1)
    there = set(found.files) - {frozen.SUMS}
    own = _own_list(folder)
    unlisted = frozen.FROZEN not in sums  # then it is the sums that were touched
    sealed = frozen.FROZEN in there and (unlisted or sums[frozen.FROZEN] == frozen.sha256(folder / frozen.FROZEN))
    expected = {*own, frozen.FROZEN, *({frozen.SIGNATURE} & set(sums))} if sealed else set(sums)
    yield checks.none(GATE, "no file is missing", sorted(expected - there), len(expected))
    yield checks.none(GATE, "no file is extra", sorted(there - expected - {frozen.SIGNATURE}), len(there))
    touched = _touched(folder, sums, own, there & expected) | ({frozen.SUMS} if set(sums) - expected else set())
    yield checks.none(GATE, "no file was touched", sorted(touched), len(there) + 1)


def _own_list(folder: Path) -> dict[str, str]:
    """Digests by name, as frozen.json lists them; none where it is missing or was touched so that it cannot be read."""
    try:
        listed = json.loads((folder / frozen.FROZEN).read_bytes())["files"]
        return {str(name): str(digest) for name, digest in listed.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _touched(folder: Path, sums: dict[str, str], own: dict[str, str], names: set[str]) -> set[str]:
    """Files whose content is not what both lists say; of two lists that differ, the one that is wrong is named.

    frozen.json and the signature stand in SHA256SUMS alone: where those differ, nothing third tells which is wrong.
    """
    found: set[str] = set()
    for name in names - {frozen.FROZEN, frozen.SIGNATURE}:
        actual = frozen.sha256(folder / name)
        by_sums, by_frozen = sums.get(name) == actual, own.get(name) == actual
        if not by_sums and not by_frozen:
            found.add(name)
        elif not by_sums:
            found.add(frozen.SUMS)
        elif not by_frozen:
            found.add(frozen.FROZEN)
    known = names | ({frozen.FROZEN} if (folder / frozen.FROZEN).is_file() else set())
    alone = known & {frozen.FROZEN, frozen.SIGNATURE}
    differ = {name for name in alone if sums.get(name) != frozen.sha256(folder / name)}
    if frozen.SUMS in found or not differ:
        return found
    if differ - set(sums):
        return found | {frozen.SUMS}
    return found | differ | (set() if found or len(differ) > 1 else {frozen.SUMS})


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
