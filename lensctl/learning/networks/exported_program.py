"""A model as a torch.export program: from cutouts in nanomaggies to logits, in one file, without lensctl."""

from __future__ import annotations

import copy
import json
import zipfile
from pathlib import Path

import torch
from torch import nn

from lensctl.learning.networks.predict import PixelsToLogit
from lensctl.learning.torch_errors import NOT_ITS_OWN
from lensctl.rules.errors import InputError

PROGRAM = (
    "archive_format",
    "archive_version",
    "byteorder",
    ".data/version",
    ".data/serialization_id",
    "models/model.json",
)
TENSORS = {"data/weights/": "weight_", "data/constants/": "tensor_"}
"""Parts of a program; folders of its tensors, and how the names of plain ones begin there."""


def write(network: PixelsToLogit, size: int, path: Path) -> None:
    """Save the program (B, size, size, 3) float32 to (B,) logits, for any B: same network, same bytes.

    Where the sources lie on this machine, and the example that was traced, are left out of the file.
    """
    example = (torch.zeros(2, size, size, 3),)
    batch = torch.export.Dim("batch", min=1)
    plain = copy.deepcopy(network).to(memory_format=torch.contiguous_format).eval()
    program = torch.export.export(plain, example, dynamic_shapes=({0: batch},))
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)
    program.example_inputs = None
    torch.export.save(program, path)


def load(path: Path) -> nn.Module:
    """The program as a module; InputError where it is not there, damaged, or more than plain tensors."""
    try:
        _refuse_more_than_tensors(path)
        return torch.export.load(path).module()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file", "freeze the model again") from error
    except (*NOT_ITS_OWN, OSError) as error:
        reason = str(error).strip().splitlines()
        raise InputError(
            f"{path}: not a whole torch.export program ({reason[0][:120] if reason else type(error).__name__})",
            "freeze the model again, with the torch that is used now",
        ) from error


def _refuse_more_than_tensors(path: Path) -> None:
    """Raise InputError where a part of the program would be unpickled or is compiled code, which may do anything.

    A program of ours holds plain tensors, and no sample inputs.
    """
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            part = name.partition("/")[2]
            folder = next((folder for folder in TENSORS if part.startswith(folder)), None)
            if folder and part.endswith("_config.json"):
                entries = json.loads(archive.read(name))["config"].values()
                plain = all(e["path_name"].startswith(TENSORS[folder]) and e["use_pickle"] is False for e in entries)
            elif folder:
                plain = part.startswith(folder + TENSORS[folder])
            elif part.startswith("data/sample_inputs/"):
                plain = not archive.read(name)
            else:
                plain = part in PROGRAM
            if not plain:
                raise InputError(f"{path}: it holds more than plain tensors ({part or name})", "freeze the model again")
