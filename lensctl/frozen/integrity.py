"""Whether the files of a frozen model, or of an attachment, are complete, unmodified, and whose they should be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from lensctl.frozen import layout, signature
from lensctl.frozen.snapshot import Snapshot
from lensctl.rules import checks
from lensctl.rules.checks import OFFENDERS_SHOWN, Check
from lensctl.rules.config import json_value
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    from lensctl.frozen.signature import PublicKey

GATE = "verify"
SIGNATURE = "signature"


def check_signature(found: Snapshot, key: PublicKey | None) -> Iterator[Check]:
    """Check the signature against the key; without a key, only report that there is one."""
    if key is not None:
        verdict = signature.check(found, key)
        yield Check(
            GATE,
            SIGNATURE,
            verdict.holds,
            verdict.reason,
            limit=f"by {key.path.name}",
            n=verdict.covered,
            offenders=verdict.files[:OFFENDERS_SHOWN],
        )
    elif layout.SIGNATURE in found.digests:
        yield Check(GATE, SIGNATURE, True, "not checked", n=0, note="signed; check the signer with --key")


def guarded(part: Callable[[Snapshot], Iterator[Check]], found: Snapshot, what: str) -> Iterator[Check]:
    """Checks of one part; contents that cannot be read, which are not those of `what`, become a failed check."""
    try:
        yield from part(found)
    except (InputError, LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RuntimeError) as error:
        reason = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        yield Check(GATE, f"content is that of {what}", False, reason[:200], limit="as frozen", n=1)


def check_files(found: Snapshot, record: str = layout.FROZEN) -> Iterator[Check]:
    """Check that no file is missing, extra or modified; `record` is the file that lists the others."""
    yield checks.none(GATE, "neither links nor empty folders", found.odd, len(found.digests) + len(found.odd))
    sums = _sums(found)
    if sums is None:
        note = "modified" if layout.SUMS in found.digests else "missing"
        yield Check(GATE, "SHA256SUMS can be read", False, note, limit="as written", n=1, offenders=(layout.SUMS,))
        return
    yield Check(GATE, "SHA256SUMS can be read", True, "as written", limit="as written", n=1)
    present = set(found.digests) - {layout.SUMS}
    own = _own_list(found, record)
    unlisted = record not in sums  # then SHA256SUMS itself was modified
    sealed = record in present and (unlisted or sums[record] == found.digests[record])
    expected = {*own, record, *({layout.SIGNATURE} & set(sums))} if sealed else set(sums)
    yield checks.none(GATE, "no file is missing", sorted(expected - present), len(expected))
    yield checks.none(GATE, "no file is extra", sorted(present - expected - {layout.SIGNATURE}), len(present))
    touched = _touched(found.digests, sums, own, present & expected, record) | (
        {layout.SUMS} if set(sums) - expected else set()
    )
    yield checks.none(GATE, "no file was touched", sorted(touched), len(present) + 1)


def _sums(found: Snapshot) -> dict[str, str] | None:
    """Digests by name from SHA256SUMS; None if it is missing or cannot be read."""
    try:
        return layout.parse_sums(found.contents[layout.SUMS].decode("utf-8"))
    except (LookupError, UnicodeDecodeError):
        return None


def _own_list(found: Snapshot, record: str) -> dict[str, str]:
    """Digests by name from the record; empty if it is missing or cannot be read."""
    try:
        listed = json_value(found.contents[record])["files"]
        return {str(name): str(digest) for name, digest in listed.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _touched(
    actual: Mapping[str, str], sums: dict[str, str], own: dict[str, str], names: set[str], record: str
) -> set[str]:
    """Files that do not match both lists; if the lists differ, the list that is wrong.

    The record and the signature are listed in SHA256SUMS only, so if they differ either side may be wrong.
    """
    found: set[str] = set()
    for name in names - {record, layout.SIGNATURE}:
        by_sums, by_frozen = sums.get(name) == actual[name], own.get(name) == actual[name]
        if not by_sums and not by_frozen:
            found.add(name)
        elif not by_sums:
            found.add(layout.SUMS)
        elif not by_frozen:
            found.add(record)
    known = names | ({record} & set(actual))
    alone = known & {record, layout.SIGNATURE}
    differ = {name for name in alone if sums.get(name) != actual[name]}
    if layout.SUMS in found or not differ:
        return found
    if differ - set(sums):
        return found | {layout.SUMS}
    return found | differ | (set() if found or len(differ) > 1 else {layout.SUMS})
