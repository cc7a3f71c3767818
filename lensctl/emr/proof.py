"""Verification that outputs were made by the submitted wheel.

A step lists the objects of its outputs before and after it runs, and records which are new, with the digest of its
installed wheel. `wait` lists them again: each must be as a step of that wheel left it, with the provenance that this
step recorded.
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
from lensctl.io.tables.parquet import parquet_dataset
from lensctl.io.tables.paths import readable
from lensctl.rules.config import json_value
from lensctl.rules.errors import InputError, LensctlError

Listing = dict[str, str]
"""Objects of an output by relative key, each with a stamp that changes when it is rewritten."""


@dataclass(frozen=True)
class Output:
    """What a step left at one output: id of the provenance step there, and the new objects."""

    step: str | None
    objects: Listing


@dataclass(frozen=True)
class StepRecord:
    """A step's record of its run; written beside the logs whether it succeeds or fails."""

    wheel: str
    command: list[str]
    status: int
    receipt: dict[str, Any] | None
    outputs: dict[str, Output] = field(default_factory=dict)

    def write(self, url: str) -> None:
        """Upload the record to S3."""
        s3.write_object(url, json.dumps(asdict(self), sort_keys=True).encode())


def read_record(url: str) -> StepRecord:
    """Read a record from S3; InputError if there is none."""
    try:
        values = json_value(s3.read_object(url))
        outputs = {path: Output(each["step"], dict(each["objects"])) for path, each in values.pop("outputs").items()}
        return StepRecord(**values, outputs=outputs)
    except FileNotFoundError as error:
        raise InputError(
            f"the step left no record at {url}, so its outputs cannot be verified", "see its logs, and submit it again"
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{url}: not a record of a step", "submit it again") from error


def listing(url: str) -> Listing:
    """The objects at a URL and below it."""
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


def changes(before: Mapping[str, Listing], after: Mapping[str, Listing], command: str) -> dict[str, Output]:
    """The new objects of each output, and its provenance now."""
    new = {url: {k: v for k, v in listed.items() if before[url].get(k) != v} for url, listed in after.items()}
    return {url: Output(_step_id(url, command), objects) for url, objects in new.items()}


def _step_id(url: str, command: str) -> str | None:
    """Id of the provenance step of an output; None if it cannot be read."""
    try:
        chain = _open(url, command)[0]
    except LensctlError:
        return None
    return chain[-1].id if chain else None


def _open(url: str, command: str) -> tuple[Chain, int]:
    """Provenance and row count of an output; InputError if it is missing or unreadable."""
    if command == "cutout":
        store = Store(url)
        return store.chain, store.n
    with readable(url):
        dataset = parquet_dataset(url)
        return chain_of(dataset.schema, url), int(dataset.count_rows())


def prove(work: Work, records: Sequence[str]) -> dict[str, int]:
    """Verify all outputs of a step, and return their row counts.

    Parameters
    ----------
    work : Work
        The work submitted as the step.
    records : sequence of str
        URLs of the records of all steps of that wheel: an interrupted one may have made some of the objects.

    Raises
    ------
    InputError
        Another wheel ran; or an output is missing, unreadable, has another provenance, or holds an object that no
        step of this wheel made. The message names it.
    """
    own = read_record(work.record)
    if own.wheel != work.wheel:
        raise InputError(f"the step ran wheel {own.wheel}, but {work.wheel} was submitted", "start a new cluster")
    if own.status or tuple(own.command) != work.command:
        raise InputError(f"{work.record}: records another command, or a failure", "submit it again")
    others = [each for each in (read_record(url) for url in records) if each.wheel == work.wheel]
    return {url: _prove(url, work.command[0], own, others) for url in work.outputs}


def _prove(url: str, command: str, own: StepRecord, others: Sequence[StepRecord]) -> int:
    chain, rows = _open(url, command)
    last = chain[-1] if chain else None
    seen = own.outputs.get(url)
    if last is None or seen is None or (last.command, last.id) != (command, seen.step):
        what = f"a '{last.command}' step, {last.id}" if last else "something other than lensctl"
        raise InputError(f"{url}: was made by {what}, not by this step", "it was replaced: submit it again")
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
            f"{url}: {len(unknown)} of {len(found)} objects were not made by the submitted wheel, first "
            f"'{unknown[0] or url}'",
            "use another output path, or remove what was there before",
        )
    return rows
