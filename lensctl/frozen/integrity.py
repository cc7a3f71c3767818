"""Whether the files of a frozen model are complete and unmodified."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lensctl.frozen import layout
from lensctl.frozen.snapshot import Snapshot
from lensctl.rules import checks
from lensctl.rules.checks import Check
from lensctl.rules.config import json_value

GATE = "verify"


def check_files(found: Snapshot) -> Iterator[Check]:
    """Check that no file is missing, extra or modified."""
    yield checks.none(GATE, "neither links nor empty folders", found.odd, len(found.digests) + len(found.odd))
    sums = _sums(found)
    if sums is None:
        note = "modified" if layout.SUMS in found.digests else "missing"
        yield Check(GATE, "SHA256SUMS can be read", False, note, limit="as written", n=1, offenders=(layout.SUMS,))
        return
    yield Check(GATE, "SHA256SUMS can be read", True, "as written", limit="as written", n=1)
    present = set(found.digests) - {layout.SUMS}
    own = _own_list(found)
    unlisted = layout.FROZEN not in sums  # then SHA256SUMS itself was modified
    sealed = layout.FROZEN in present and (unlisted or sums[layout.FROZEN] == found.digests[layout.FROZEN])
    expected = {*own, layout.FROZEN, *({layout.SIGNATURE} & set(sums))} if sealed else set(sums)
    yield checks.none(GATE, "no file is missing", sorted(expected - present), len(expected))
    yield checks.none(GATE, "no file is extra", sorted(present - expected - {layout.SIGNATURE}), len(present))
    touched = _touched(found.digests, sums, own, present & expected) | (
        {layout.SUMS} if set(sums) - expected else set()
    )
    yield checks.none(GATE, "no file was touched", sorted(touched), len(present) + 1)


def _sums(found: Snapshot) -> dict[str, str] | None:
    """Digests by name from SHA256SUMS; None if it is missing or cannot be read."""
    try:
        return layout.parse_sums(found.contents[layout.SUMS].decode("utf-8"))
    except (LookupError, UnicodeDecodeError):
        return None


def _own_list(found: Snapshot) -> dict[str, str]:
    """Digests by name from frozen.json; empty if it is missing or cannot be read."""
    try:
        listed = json_value(found.contents[layout.FROZEN])["files"]
        return {str(name): str(digest) for name, digest in listed.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _touched(actual: Mapping[str, str], sums: dict[str, str], own: dict[str, str], names: set[str]) -> set[str]:
    """Files that do not match both lists; if the lists differ, the list that is wrong.

    frozen.json and the signature are listed in SHA256SUMS only, so if they differ either side may be wrong.
    """
    found: set[str] = set()
    for name in names - {layout.FROZEN, layout.SIGNATURE}:
        by_sums, by_frozen = sums.get(name) == actual[name], own.get(name) == actual[name]
        if not by_sums and not by_frozen:
            found.add(name)
        elif not by_sums:
            found.add(layout.SUMS)
        elif not by_frozen:
            found.add(layout.FROZEN)
    known = names | ({layout.FROZEN} & set(actual))
    alone = known & {layout.FROZEN, layout.SIGNATURE}
    differ = {name for name in alone if sums.get(name) != actual[name]}
    if layout.SUMS in found or not differ:
        return found
    if differ - set(sums):
        return found | {layout.SUMS}
    return found | differ | (set() if found or len(differ) > 1 else {layout.SUMS})
