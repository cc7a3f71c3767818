"""The proof that outputs were made by the very wheel that was submitted.

A step lists the objects of its outputs before and after its work, and writes down which are new, with the digest of
the wheel it was installed from. Whoever waits for it lists them once more: each must be there as a step of that wheel
left it, and carry the provenance that this step saw.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lensctl.emr.work import Work
from lensctl.io.cutouts.store import Store
from lensctl.io.provenance.steps import Chain, chain_of
from lensctl.io.storage import s3
from lensctl.io.tables.paths import parquet_dataset, readable
from lensctl.rules.errors import InputError, LensctlError

Listing = dict[str, str]
"""Objects of an output by their key below it, each with what changes when it is written again."""


@dataclass(frozen=True)
class Output:
    """What a step left at one place: id of the provenance step there, and the objects that are new."""

    step: str | None
    objects: Listing


@dataclass(frozen=True)
class StepRecord:
    """What a step says of itself; written beside the logs when it ends, well or badly."""

    wheel: str
    command: list[str]
    status: int
    receipt: dict[str, Any] | None
    outputs: dict[str, Output] = field(default_factory=dict)

    def write(self, url: str) -> None:
        """Put it on S3."""
        s3.write_object(url, json.dumps(asdict(self), sort_keys=True).encode())


def read_record(url: str) -> StepRecord:
    """A record from S3; InputError where there is none."""
    try:
        values = json.loads(s3.read_object(url))
        outputs = {path: Output(**each) for path, each in values.pop("outputs").items()}
        return StepRecord(**values, outputs=outputs)
    except FileNotFoundError as error:
        raise InputError(
            f"the step left no record at {url}: nothing proves what it made", "see its logs, and submit it again"
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{url}: not a record of a step", "submit it again") from error


def listing(url: str) -> Listing:
    """The objects at a place and below it."""
    import botocore.exceptions

    bucket, key = s3.split_url(url)
    key = key.rstrip("/")
    try:
        pages = list(s3.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key))
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        raise s3.unreachable(url, error) from error
    found = [each for page in pages for each in page.get("Contents", [])]
    return {
        each["Key"].removeprefix(key): f"{each['Size']} {each['ETag']} {each['LastModified'].isoformat()}"
        for each in found
        if each["Key"] == key or each["Key"].startswith(f"{key}/")
    }


def made(before: Mapping[str, Listing], after: Mapping[str, Listing], command: str) -> dict[str, Output]:
    """What is new at each place, and the provenance that stands there now."""
    new = {url: {k: v for k, v in found.items() if before[url].get(k) != v} for url, found in after.items()}
    return {url: Output(_made_by(url, command), objects) for url, objects in new.items()}


def _made_by(url: str, command: str) -> str | None:
    """Id of the provenance step of what is readable at a place; None where nothing is."""
    try:
        chain = _open(url, command)[0]
    except LensctlError:
        return None
    return chain[-1].id if chain else None


def _open(url: str, command: str) -> tuple[Chain, int]:
    """Provenance and rows of an output; InputError where it is not there or cannot be read."""
    if command == "cutout":
        store = Store(url)
        return store.chain, store.n
    with readable(url):
        found = parquet_dataset(url)
        return chain_of(found.schema, url), int(found.count_rows())


def prove(work: Work, records: Sequence[str]) -> dict[str, int]:
    """Rows of each output of a step, all of them proved.

    Parameters
    ----------
    work : Work
        What the step was told.
    records : sequence of str
        Addresses of the records of all steps of that wheel: one that was cut short may have made a part of it.

    Raises
    ------
    InputError
        Another wheel ran; an output is missing, cannot be read, has another provenance, or holds an object that no
        step of this wheel made. The sentence names it.
    """
    own = read_record(work.record)
    if own.wheel != work.wheel:
        raise InputError(f"the step ran {own.wheel}, submitted was {work.wheel}", "start a new cluster")
    if own.status or tuple(own.command) != work.command:
        raise InputError(f"{work.record}: tells of another command, or of its failure", "submit it again")
    others = [each for each in (read_record(url) for url in records) if each.wheel == work.wheel]
    return {url: _prove(url, work.command[0], own, others) for url in work.outputs}


def _prove(url: str, command: str, own: StepRecord, others: Sequence[StepRecord]) -> int:
    chain, rows = _open(url, command)
    last = chain[-1] if chain else None
    seen = own.outputs.get(url)
    if last is None or seen is None or (last.command, last.id) != (command, seen.step):
        what = f"a '{last.command}' step, {last.id}" if last else "no step of lensctl"
        raise InputError(f"{url}: was made by {what}, not by this one", "someone replaced it: submit it again")
    known = {
        (name, state)
        for each in (own, *others)
        if url in each.outputs
        for name, state in each.outputs[url].objects.items()
    }
    found = listing(url)
    unknown = sorted(name for name, state in found.items() if (name, state) not in known)
    if unknown:
        raise InputError(
            f"{url}: {len(unknown)} of {len(found)} objects were not made by the wheel that was submitted, first "
            f"'{unknown[0] or url}'",
            "submit it to another place, or remove what lies there before",
        )
    return rows
