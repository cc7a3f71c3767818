"""Scored injections and hosts, joined: every row is accounted for, or refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Chain, chain_of, common_survey, step_input
from lensctl.io.tables.files import read_table
from lensctl.rules import schema, split
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.io.provenance.steps import Input
    from lensctl.selection.fitting.frozen_model import FrozenModel
    from lensctl.selection.p_det.axes import Axis

OF_INJECTIONS = ("galaxy_id", "host_id", "k", "control", "vary", "healpix_128", "cutout_ok", "logit")
OF_HOSTS = ("galaxy_id", "ra", "dec", "healpix_128", "cutout_ok", "logit")
OF_REAL = ("galaxy_id", "tier", "split", "healpix_128", "logit")
NO_CUTOUT, NO_SCORE, NO_HOST_SCORE = "no good cutout", "pixels that are no numbers", "the host has no score"


@dataclass(frozen=True)
class Scored:
    """A table of scores, sorted by galaxy_id."""

    table: pa.Table
    where: str
    chain: Chain
    source: Input


@dataclass(frozen=True)
class Injections:
    """Injections with a score, a host with a score, and every axis.

    Attributes
    ----------
    table : pa.Table
        All columns, sorted by galaxy_id, with logit_host and delta_logit.
    lost : list of dict
        Rows and hosts that are not in it, by reason.
    per_host, hosts : int
    """

    table: pa.Table
    lost: list[dict[str, Any]]
    per_host: int
    hosts: int

    def numbers(self, name: str) -> NDArray[np.float64]:
        """A column: (N,)."""
        return np.asarray(self.table[name].to_numpy(), np.float64)

    @property
    def pixel(self) -> NDArray[np.int64]:
        """HEALPix pixel of each row: (N,)."""
        return np.asarray(self.table["healpix_128"].to_numpy(), np.int64)


def read_scored(path: str, role: str, model: FrozenModel, needed: Sequence[str]) -> Scored:
    """A table of this model's scores; InputError for missing columns, doubles, nulls, or another model's."""
    table = read_table(path)
    where = "stdin" if path == "-" else path
    table = with_pixels(table, where)
    schema.require(table, *needed, where=where, survey=model.survey)
    schema.refuse_duplicates(table, where=where)
    schema.refuse_nulls(table, *(name for name in needed if name not in ("logit", "cutout_ok")), where=where)
    schema.require_numbers(table, "logit", "healpix_128", *({"k"} & set(needed)), where=where)
    chain = chain_of(table, path)
    model.refuse_other_scores(chain, where)
    common_survey(model.survey, chain)
    source = step_input(role, path, digests.of_table(table), chain)
    return Scored(table.sort_by("galaxy_id"), where, chain, source)


def with_pixels(table: pa.Table, where: str) -> pa.Table:
    """A table of scores with healpix_128, by ra and dec where it has none: scores of a store alone have none."""
    import pyarrow as pa

    if "healpix_128" in table.column_names or not {"ra", "dec"} <= set(table.column_names):
        return table
    schema.refuse_bad_positions(table, where=where)
    ra, dec = (np.asarray(table[name].to_numpy(), np.float64) for name in ("ra", "dec"))
    return table.append_column("healpix_128", pa.array(split.healpix(ra, dec)))


def joined(parts: Sequence[Scored], hosts: Scored, axes: Sequence[Axis]) -> Injections:
    """Injections of all parts with the logit of their hosts, and what was lost on the way.

    Raises
    ------
    InputError
        Controls or variations among them; an injection twice; a host that was not injected into, or not as often as
        others, or is not among the hosts; a score of a cutout that is not good; another pixel than the host's.
    """
    import pyarrow as pa

    for part in parts:
        _refuse_changed(part)
        schema.require(part.table, *(axis.name for axis in axes), where=part.where)
        schema.require_numbers(part.table, *(axis.name for axis in axes), where=part.where)
    names = [name for name in parts[0].table.column_names if all(name in p.table.column_names for p in parts)]
    where = ", ".join(part.where for part in parts)
    try:
        bare = [part.table.select(names).replace_schema_metadata() for part in parts]
        table = pa.concat_tables(bare, promote_options="permissive")
    except pa.ArrowException as error:
        raise InputError(f"{where}: a column is of another kind in each", "make both by the same commands") from error
    schema.refuse_duplicates(table, where=where)
    table = table.sort_by("galaxy_id")
    per_host = _refuse_unequal(table, hosts, where)
    at = _place_of(table["host_id"], hosts, where)
    if (table["healpix_128"].to_numpy() != hosts.table["healpix_128"].to_numpy()[at]).any():
        raise InputError(f"{where}: healpix_128 is not that of the hosts in {hosts.where}", "inject into these hosts")
    logit_host = logits(hosts)[at]
    logit, usable = logits(Scored(table, where, (), hosts.source)), _flags(table, "cutout_ok")
    reason = np.full(table.num_rows, "", object)
    for axis in reversed(axes):
        values = np.asarray(table[axis.name].to_numpy(), np.float64)
        reason[~np.isfinite(values) | (axis.log & ~(values > 0))] = f"no {axis.name}"
    reason[np.isnan(logit_host)] = NO_HOST_SCORE
    reason[np.isnan(logit)] = NO_SCORE
    reason[~usable] = NO_CUTOUT
    kept = reason == ""
    host = np.array(table["host_id"].to_pylist(), object)
    lost = [
        {"reason": str(why), "rows": int(count), "hosts": len(set(host[reason == why]))}
        for why, count in sorted(Counter(reason[~kept]).items())
    ]
    table = table.append_column("logit_host", pa.array(logit_host, from_pandas=True))
    table = table.append_column("delta_logit", pa.array(logit - logit_host, from_pandas=True))
    table = table.filter(pa.array(kept.astype(bool)))
    if not table.num_rows:
        raise InputError(f"{where}: no injection has a score and all axes ({lost[0]['reason']})", "score them again")
    return Injections(table, lost, per_host, hosts.table.num_rows)


def _refuse_changed(part: Scored) -> None:
    """Raise InputError for controls and variations, which are no injections to fit."""
    for name in ("control", "vary"):
        words = sorted({str(word) for word in part.table[name].to_pylist()} - {""})
        if words:
            raise InputError(
                f"{part.where}: its rows are of {name} {words[0]}, no plain injections", f"give it with --{name}"
            )


def _refuse_unequal(table: pa.Table, hosts: Scored, where: str) -> int:
    """Injections of each host; InputError where losses do not add up."""
    pairs = list(zip(table["host_id"].to_pylist(), table["k"].to_pylist(), strict=True))
    wrong = [id for id, (host, k) in zip(table["galaxy_id"].to_pylist(), pairs, strict=True) if id != f"{host}#{k}"]
    if wrong:
        raise InputError(f"{where}: {wrong[0]} is not named after its host and number", "take rows of `lensctl inject`")
    count = Counter(host for host, _ in pairs)
    per_host = max(k for _, k in pairs) + 1
    known = set(hosts.table["galaxy_id"].to_pylist())
    for missing, what in (
        (sorted(known - set(count)), f"hosts of {hosts.where} have no injection in {where}"),
        (sorted(set(count) - known), f"hosts of {where} are not in {hosts.where}"),
        (sorted(h for h, n in count.items() if n != per_host), f"hosts of {where} have not {per_host} injections each"),
    ):
        if missing:
            raise InputError(
                f"losses do not add up: {len(missing)} {what}, such as {missing[0]}",
                "give all rows of the injections and of the hosts, those without a score too",
            )
    return int(per_host)


def _place_of(ids: pa.ChunkedArray, hosts: Scored, where: str) -> NDArray[np.int64]:
    """Row of the host of each injection: (N,)."""
    place = {id: row for row, id in enumerate(hosts.table["galaxy_id"].to_pylist())}
    return np.array([place[id] for id in ids.to_pylist()], np.int64)


def _flags(table: pa.Table, name: str) -> NDArray[np.bool_]:
    return np.asarray(table[name].fill_null(False).to_numpy(zero_copy_only=False), bool)


def logits(scored: Scored) -> NDArray[np.float64]:
    """Logits, NaN where there is no score; InputError for a score of a cutout that is not good, or an infinite one."""
    import pyarrow as pa

    logit = np.asarray(scored.table["logit"].cast(pa.float64()).to_numpy(), np.float64)
    wrong = np.isfinite(logit) & ~_flags(scored.table, "cutout_ok") | np.isinf(logit)
    if wrong.any():
        first = scored.table["galaxy_id"][int(np.argmax(wrong))].as_py()
        raise InputError(
            f"{scored.where}: {int(wrong.sum())} rows without a good cutout have a score, such as {first}",
            "take the scores of `lensctl score`",
        )
    return logit
