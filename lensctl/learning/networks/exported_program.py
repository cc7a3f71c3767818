"""A model as a torch.export program: cutouts in nanomaggies to logits, in one file that does not need lensctl."""

from __future__ import annotations

import copy
import io
import zipfile
from pathlib import Path

import torch
from torch import nn

from lensctl.learning.networks.predict import PixelsToLogit
from lensctl.learning.torch_errors import InvalidFile, unpickling
from lensctl.rules.config import json_value
from lensctl.rules.errors import InputError, first_line

PROGRAM = (
    "archive_format",
    "archive_version",
    "byteorder",
    ".data/version",
    ".data/serialization_id",
    "models/model.json",
)
TENSORS = {"data/weights/": "weight_", "data/constants/": "tensor_"}
"""Other files of a program, and folders of its tensors with the filename prefix of plain tensors."""


def write(network: PixelsToLogit, size: int, bands: int, path: Path) -> None:
    """Export the network, (B, size, size, bands) float32 to (B,) logits for any B; reproducible byte for byte.

    Local source paths and the example input are not stored in the file.
    """
    example = (torch.zeros(2, size, size, bands),)
    batch = torch.export.Dim("batch", min=1)
    plain = copy.deepcopy(network).to(memory_format=torch.contiguous_format).eval()
    program = torch.export.export(plain, example, dynamic_shapes=({0: batch},))
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)
    program.example_inputs = None
    torch.export.save(program, path)


def load(data: bytes, where: str) -> nn.Module:
    """Load the bytes of a program as a module; InputError if they are damaged, or hold more than plain tensors.

    torch evaluates expressions in the graph of a program, which can do anything that the user of this process can: load
    only bytes that someone you trust has signed.
    """
    try:
        with unpickling():
            _refuse_more_than_tensors(data, where)
            return torch.export.load(io.BytesIO(data)).module()
    except (InvalidFile, OSError) as error:
        raise InputError(
            f"{where}: invalid torch.export program ({first_line(error)})",
            "freeze the model again with the installed torch version",
        ) from error


def _refuse_more_than_tensors(data: bytes, where: str) -> None:
    """Raise InputError if part of the program would be unpickled or is compiled code, which could run anything.

    Programs written by lensctl hold only plain tensors, and no sample inputs.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            name = info.filename
            part = name.partition("/")[2]
            folder = next((folder for folder in TENSORS if part.startswith(folder)), None)
            if folder and part.endswith("_config.json"):
                entries = json_value(archive.read(name))["config"].values()
                plain = all(e["path_name"].startswith(TENSORS[folder]) and e["use_pickle"] is False for e in entries)
            elif folder:
                plain = part.startswith(folder + TENSORS[folder])
            elif part.startswith("data/sample_inputs/"):
                plain = not archive.read(name)
            else:
                plain = part in PROGRAM
            if not plain or info.compress_type != zipfile.ZIP_STORED:
                raise InputError(f"{where}: holds more than plain tensors ({part or name})", "freeze the model again")
