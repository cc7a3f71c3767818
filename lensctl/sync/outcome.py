"""What a sync found and did."""

from __future__ import annotations

from dataclasses import dataclass, field

from lensctl.rules.object_names import SYNC

FAILURES = f"{SYNC}.failed.jsonl"
"""File in the target listing what could not be copied, and why; absent if nothing failed."""


@dataclass
class Outcome:
    """What a sync found and did; of a dry run, what it would do."""

    objects: int = 0
    bytes: int = 0
    copied: int = 0
    copied_bytes: int = 0
    skipped: int = 0
    deleted: int = 0
    corrupt: list[str] = field(default_factory=list)
    """Copies whose content had changed although size and time had not."""
    failed: dict[str, str] = field(default_factory=dict)
    growing: list[str] = field(default_factory=list)
    """Folders of the source that are still incomplete; their copies are marked so."""
