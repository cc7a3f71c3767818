"""Injections as a source of cutouts: shard by shard from the hosts' store, a process a core."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.astro.photon_noise import blank_variance
from lensctl.injection import targets
from lensctl.injection.calibration import Calibration, skies_of
from lensctl.injection.injector import Injector, Settings
from lensctl.injection.stamps import Stamps
from lensctl.io import workers
from lensctl.io.cutouts.layout import ORIGIN_COLUMNS
from lensctl.io.cutouts.store import Store, open_store
from lensctl.io.cutouts.writer import ShardWriter
from lensctl.io.imaging.source import Advance, Cuts, Task, complete
from lensctl.rules.acceptance import MAX_EMPTY
from lensctl.rules.survey import Survey

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.injection.injector import Injected, Target

HOST_ROW, NUMBER = "host_row", "k"
ARCS, ARCS_KEPT = "arcs", 256
"""The plane of arcs alone, and the rows of a store that have it, for the gate and to be looked at."""

BLOCK_HOSTS = 64


def rows_of(hosts: pa.Table, per_host: int) -> pa.Table:
    """One row for each injection: `{galaxy_id}#{k}`, ra, dec, row of its host in the table, and k."""
    import pyarrow as pa

    count = hosts.num_rows
    row, k = np.repeat(np.arange(count), per_host), np.tile(np.arange(per_host), count)
    ids = hosts["galaxy_id"].to_pylist()
    names = pa.array([f"{ids[r]}#{n}" for r, n in zip(row.tolist(), k.tolist(), strict=True)])
    at = {name: hosts[name].take(row) for name in ("ra", "dec")}
    return pa.table({"galaxy_id": names, **at, HOST_ROW: row, NUMBER: k})


@dataclass(frozen=True)
class Injections:
    """Injections into the cutouts of hosts, as a source of cutouts.

    Parameters
    ----------
    path : str
        Store of the hosts.
    places : (N,) int
        Row of each host of the table in the store.
    aims : list of Target
        In the order of the table.
    variance : (N, B) float64
        Of blank sky in each cutout, nanomaggy^2, where its own pixels do not tell.
    of_hosts : pa.Table
        Columns of the hosts that their injections keep.
    settings, survey, calibration, stamps
        See `Injector`.
    processes : int, optional
        One per core if not given. The result does not depend on it.
    """

    path: str
    places: NDArray[np.int64]
    aims: list[Target]
    variance: NDArray[np.float64]
    of_hosts: pa.Table
    settings: Settings
    survey: Survey
    calibration: Calibration
    stamps: Stamps | None = None
    processes: int | None = None
    name: str = "injected"
    max_empty: float = MAX_EMPTY

    def prepare(self, table: pa.Table) -> pa.Table:
        """The table as it is: it was made for this source."""
        return table

    def order(self, shards: list[int]) -> list[int]:
        """The shards as they are."""
        return shards

    def make(self, tasks: Iterator[Task], writer: ShardWriter, advance: Advance) -> None:
        """Write the shard of every task, and report row statuses as they are done."""
        todo = (self.of(task) for task in tasks)
        for done in workers.each(functools.partial(_make_shard, writer), todo, self.processes):
            advance(done)

    def of(self, task: Task) -> tuple[Injections, Task]:
        """What one task needs: its own hosts alone, so that what travels to a worker does not grow with the table."""
        hosts, row = np.unique(task.rows[HOST_ROW].to_numpy(), return_inverse=True)
        at = task.rows.schema.get_field_index(HOST_ROW)
        own = dataclasses.replace(
            self,
            places=self.places[hosts],
            aims=[self.aims[host] for host in hosts],
            variance=self.variance[hosts],
            of_hosts=self.of_hosts.take(hosts),
        )
        return own, dataclasses.replace(task, rows=task.rows.set_column(at, HOST_ROW, [row]))

    def injected(self, store: Store, rows: NDArray[np.int64], numbers: NDArray[np.int64]) -> Iterator[Injected]:
        """Injection k of host rows of the table, in order."""
        injector = Injector(self.settings, self.survey, store.size, self.calibration.share, self.stamps)
        hosts, inverse = np.unique(rows, return_inverse=True)
        masked = "maskbits" in store.layout.planes
        for start in range(0, len(hosts), BLOCK_HOSTS):
            block = hosts[start : start + BLOCK_HOSTS]
            images, weights, skies = store.read(self.places[block]), None, None
            variance = self.variance[block]
            if "invvar" in store.layout.planes:
                weights = store.read_plane_rows("invvar", self.places[block])
                seen = blank_variance(images, weights)
                variance = np.where(np.isfinite(seen), seen, variance)
                masks = store.read_plane_rows("maskbits", self.places[block]) if masked else None
                skies = skies_of(self.calibration, images, weights, masks)
            gains = self.calibration.gains(variance, skies)
            for i in np.flatnonzero((inverse >= start) & (inverse < start + len(block))):
                at = inverse[i] - start
                weight = None if weights is None else weights[at]
                target = dataclasses.replace(self.aims[rows[i]], gain=gains[at])
                yield injector.inject(target, int(numbers[i]), images[at], weight)

    def origin(self, store: Store, rows: NDArray[np.int64]) -> dict[str, list[Any]]:
        """What the hosts' store says of the origin of their pixels, and of their use: arcs fill no empty pixel."""
        known = store.columns("status", "cutout_ok", *ORIGIN_COLUMNS).take(self.places[rows])
        return {name: known[name].to_pylist() for name in known.column_names}


def _make_shard(writer: ShardWriter, work: tuple[Injections, Task]) -> Counter[str]:
    import pyarrow as pa

    source, task = work
    store = open_store(source.path)
    rows, numbers = (task.rows[name].to_numpy() for name in (HOST_ROW, NUMBER))
    kept = _keep_arcs(task, writer)
    shape = (len(rows), *writer.layout.shape("images")[1:])
    images, invvar = np.empty(shape, np.float32), np.empty(shape, np.float32)
    arcs = np.full(shape, np.nan, np.float32) if kept.any() else np.broadcast_to(np.float32(np.nan), shape)
    described: list[dict[str, Any]] = []
    for i, done in enumerate(source.injected(store, rows, numbers)):
        images[i] = done.image
        if done.invvar is not None:
            invvar[i] = done.invvar
        if kept[i]:
            arcs[i] = done.arcs
        described.append(done.columns)
    planes = {"invvar": invvar, ARCS: arcs}
    columns = {name: pa.array([row[name] for row in described]) for name in described[0]}
    columns |= targets.columns_of(source.of_hosts, rows, source.survey)
    bands = source.survey.bands
    origin_of_gain = source.calibration.source
    told = (
        sorted(set(origin_of_gain))
        if len(set(origin_of_gain)) == 1
        else [f"{band}: {word}" for band, word in zip(bands, origin_of_gain, strict=True)]
    )
    columns["gain_source"] = pa.repeat(", ".join(told), len(rows))
    columns["design_digest"] = pa.repeat(source.settings.design.digest(), len(rows))
    wanted = {name: planes[name] for name in writer.layout.planes}
    cuts = Cuts(images, source.origin(store, rows), wanted, pa.table(columns))
    return complete(task, cuts, source, writer)


def _keep_arcs(task: Task, writer: ShardWriter) -> NDArray[np.bool_]:
    """Which rows of a task are among the first of the store, whose arcs alone are kept."""
    places = np.arange(task.rows.num_rows) if task.places is None else task.places
    return np.asarray(writer.layout.span(task.shard)[0] + places < ARCS_KEPT)
