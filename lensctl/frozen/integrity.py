"""Whether the files of a frozen model are complete and unmodified."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lensctl.frozen import layout
from lensctl.rules import checks
from lensctl.rules.checks import Check
from lensctl.rules.config import json_value

GATE = "verify"


def check_files(folder: Path) -> Iterator[Check]:
    """Check that no file is missing, extra or modified."""
    found = layout.contents_of(folder)
    yield checks.none(GATE, "neither links nor empty folders", found.odd, len(found.files) + len(found.odd))
    text = _text(folder / layout.SUMS) if layout.SUMS in found.files else None
    sums = None if text is None else layout.parse_sums(text)
    if sums is None:
        note = "modified" if layout.SUMS in found.files else "missing"
        yield Check(GATE, "SHA256SUMS can be read", False, note, limit="as written", n=1, offenders=(layout.SUMS,))
        return
    yield Check(GATE, "SHA256SUMS can be read", True, "as written", limit="as written", n=1)
    present = set(found.files) - {layout.SUMS}
    own = _own_list(folder)
    unlisted = layout.FROZEN not in sums  # then SHA256SUMS itself was modified
    sealed = layout.FROZEN in present and (unlisted or sums[layout.FROZEN] == layout.sha256(folder / layout.FROZEN))
    expected = {*own, layout.FROZEN, *({layout.SIGNATURE} & set(sums))} if sealed else set(sums)
    yield checks.none(GATE, "no file is missing", sorted(expected - present), len(expected))
    yield checks.none(GATE, "no file is extra", sorted(present - expected - {layout.SIGNATURE}), len(present))
    touched = _touched(folder, sums, own, present & expected) | ({layout.SUMS} if set(sums) - expected else set())
    yield checks.none(GATE, "no file was touched", sorted(touched), len(present) + 1)


def _own_list(folder: Path) -> dict[str, str]:
    """Digests by name from frozen.json; empty if it is missing or cannot be read."""
    try:
        listed = json_value((folder / layout.FROZEN).read_bytes())["files"]
        return {str(name): str(digest) for name, digest in listed.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _touched(folder: Path, sums: dict[str, str], own: dict[str, str], names: set[str]) -> set[str]:
    """Files that do not match both lists; if the lists differ, the list that is wrong.

    frozen.json and the signature are listed in SHA256SUMS only, so if they differ either side may be wrong.
    """
    found: set[str] = set()
    for name in names - {layout.FROZEN, layout.SIGNATURE}:
        actual = layout.sha256(folder / name)
        by_sums, by_frozen = sums.get(name) == actual, own.get(name) == actual
        if not by_sums and not by_frozen:
            found.add(name)
        elif not by_sums:
            found.add(layout.SUMS)
        elif not by_frozen:
            found.add(layout.FROZEN)
    known = names | ({layout.FROZEN} if (folder / layout.FROZEN).is_file() else set())
    alone = known & {layout.FROZEN, layout.SIGNATURE}
    differ = {name for name in alone if sums.get(name) != layout.sha256(folder / name)}
    if layout.SUMS in found or not differ:
        return found
    if differ - set(sums):
        return found | {layout.SUMS}
    return found | differ | (set() if found or len(differ) > 1 else {layout.SUMS})


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
