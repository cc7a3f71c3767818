"""A model as a torch.export program: from cutouts in nanomaggies to logits, in one file, without lensctl."""

from __future__ import annotations

import copy
import pickle
import zipfile
from pathlib import Path

import torch
from torch import nn

from lensctl.learning.predict import PixelsToLogit
from lensctl.words.errors import InputError

NAME = "model.pt2"


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
    """The program as a module; InputError where it is not there or damaged."""
    try:
        return torch.export.load(path).module()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file", "freeze the model again") from error
    except (RuntimeError, ValueError, KeyError, OSError, zipfile.BadZipFile, pickle.UnpicklingError) as error:
        reason = str(error).strip().splitlines()
        raise InputError(
            f"{path}: not a whole torch.export program ({reason[0][:120] if reason else type(error).__name__})",
            "freeze the model again, with the torch that is used now",
        ) from error
