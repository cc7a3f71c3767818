"""What two processes do together for test_distributed: `python -m tests.toys.teamwork FOLDER`, each with its RANK."""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from lensctl.learning.networks import architectures
from lensctl.learning.training.distributed import CpuSyncBatchNorm, FailedElsewhere, Team, gather_team
from lensctl.learning.training.learner import Learner
from lensctl.learning.training.settings import Resources, TrainConfig
from lensctl.rules.errors import InputError, LensctlError
from lensctl.train.fitting import fit
from tests.toys import rings

RECIPE = TrainConfig(arch="resnet18", crop=16, epochs=2, batch_size=16, lr=3e-3, shift=2, patience=10)
CPU = torch.device("cpu")


class LittleMemory(torch.nn.Module):
    """A network on a device that has room for so many cutouts."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.inner, self.most = rings.tiny(3, 0.0), most

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > self.most:
            raise torch.OutOfMemoryError
        return self.inner(x)


def run(folder: Path, name: str, team: Team, config: TrainConfig = RECIPE, stop_after=None, spoil=None, **how) -> None:
    """Train the toy in `folder/name`, or the first events of it."""
    table, pixels = rings.manifest(64)
    if spoil is not None:
        pixels.images[spoil, 12, 12] = 3e38
        table = table.drop("cutout_sha256")
    (folder / name).mkdir(exist_ok=True)
    events = fit(table, pixels, config, folder / name / "run", team=team, **how)
    list(itertools.islice(events, stop_after))
    events.close()


def trained(folder: Path, team: Team) -> None:
    """Whole runs, and one that is stopped and gone on with."""
    run(folder, "straight", team)
    run(folder, "streamed", team, resources=Resources(feed="stream"))
    run(folder, "resumed", team, stop_after=4, resources=Resources(checkpoint_every=1))
    run(folder, "resumed", team, resume=True)
    run(folder, "ensemble", team, replace(RECIPE, epochs=1, ensemble=2))


def normed(team: Team) -> float:
    """Largest difference between batch norm over both processes and over the whole batch, there and back."""
    x = torch.randn(8, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    pull = torch.randn(8, 3, 5, 5, generator=torch.Generator().manual_seed(2))
    here = team.part(8)
    one, ours = torch.nn.BatchNorm2d(3), CpuSyncBatchNorm(3)
    whole, mine = x.clone().requires_grad_(), x[here].clone().requires_grad_()
    (one(whole) * pull).sum().backward()
    (ours(mine) * pull[here]).sum().backward()
    pairs = [(one.running_mean, ours.running_mean), (one.running_var, ours.running_var), (whole.grad[here], mine.grad)]
    pairs += [(one.eval()(x)[here], ours.eval()(x[here]))]
    return max(float((a - b).abs().max()) for a, b in pairs)


def rehearsed(team: Team) -> dict[str, object]:
    """A step where one process has room for 3 cutouts and the other for all: the pieces both take, and the logits."""
    said: list[str] = []
    torch.manual_seed(0)
    network = LittleMemory(3 if team.rank else 100)
    learner = Learner(network, CPU, say=said.append, team=team)
    x = torch.randn(16, 3, 16, 16, generator=torch.Generator().manual_seed(0))[team.part(16)]
    step = learner.step(x, torch.ones(8), torch.ones(8), lr=1e-3, purpose="0")
    return {"pieces": learner.micro_batch, "said": len(said), "logits": len(step.logits)}


def refused(do: Callable[[], None]) -> str:
    """The error that something gives."""
    try:
        do()
    except LensctlError as error:
        return str(error)
    return ""


def main(folder: Path) -> None:
    """All of it; what was found is in `found-RANK.json`."""
    torch.set_num_threads(1)
    architectures.ARCHITECTURES = {**architectures.ARCHITECTURES, "resnet18": rings.tiny}
    rank = int(os.environ["RANK"])
    found: dict[str, object] = {}
    try:
        with gather_team(rank, 2, 0, "cpu") as team:
            trained(folder, team)
            found["normed"] = normed(team)
            found["rehearsed"] = rehearsed(team)
            found["told"] = [
                team.broadcast(f"by {rank}"),
                team.minimum(rank + 3),
                team.gather(torch.tensor([rank])).tolist(),
            ]
            found["uneven"] = refused(lambda: run(folder, "uneven", team, replace(RECIPE, batch_size=15)))
            row = int(np.flatnonzero(np.array(rings.manifest(64)[0]["split"].to_pylist()) == "train")[3])
            odd = replace(RECIPE, normalise="asinh", noise=0.0)
            found["spoiled"] = [row, refused(lambda: run(folder, "spoiled", team, odd, spoil=row))]
            if rank == 1:
                raise InputError("only one of the two has this trouble", "nothing")
            team.broadcast("never told, because the other is gone")
            team.gather(torch.zeros(1))
    except FailedElsewhere:
        found["ending"] = "said by another"
    except InputError as error:
        found["ending"] = str(error)
    (folder / f"found-{rank}.json").write_text(json.dumps(found))
    os._exit(2)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
