"""Exported programs: the scores of the model, for any number of cutouts, and nothing in them that can run."""

from __future__ import annotations

import io
import pathlib
import zipfile

import numpy as np
import pytest
import torch

from lensctl.io.tables.files import read_table
from lensctl.learning.networks import exported_program
from lensctl.rules.errors import InputError
from tests.toys import rings

pytestmark = pytest.mark.usefixtures("tiny_network")


def test_the_program_gives_any_number_of_cutouts_the_scores_they_had(bundle):
    scores = read_table(str(bundle / "scores.parquet"))
    _, cutouts = rings.manifest(len(scores))
    finder = torch.export.load(bundle / "frozen" / "model.pt2").module()
    with torch.no_grad():
        logit = finder(torch.from_numpy(cutouts.images)).numpy()
        one = finder(torch.from_numpy(cutouts.images[:1])).numpy()
    np.testing.assert_allclose(logit, scores["logit"].to_numpy(), atol=1e-5)
    np.testing.assert_allclose(one, logit[:1], atol=1e-5)


def test_a_damaged_program_is_said_plainly(tmp_path):
    (tmp_path / "model.pt2").write_bytes(b"PK\x03\x04 no")
    with pytest.raises(InputError, match=r"invalid torch\.export program"):
        exported_program.load((tmp_path / "model.pt2").read_bytes(), "model.pt2")


class Touch:
    """What unpickles by making a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (pathlib.Path.touch, (self.path,))


def spoiled_program(source, target, evil):
    """A program with a pickle in one of the places where torch looks for one."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if evil["in"] in name:
                data = (
                    evil["data"] if "data" in evil else data.replace(b'"use_pickle": false', b'"use_pickle": true', 1)
                )
            new.writestr(name, data)
        if "more" in evil:
            new.writestr(old.namelist()[0].split("/")[0] + evil["more"], evil["pickle"])


@pytest.mark.parametrize(
    "place",
    [
        {"in": "sample_inputs/"},
        {"in": "weights/weight_0", "flag": "weights_config"},
        {"in": "nowhere", "more": "/data/weights/model.pt"},
        {"in": "nowhere", "more": "/data/constants/opaque_obj_0"},
        {"in": "nowhere", "more": "/data/aotinductor/model/model.so"},
        {"in": "nowhere", "more": "/../serialized_state_dict.pt"},
    ],
    ids=["sample inputs", "a weight", "old weights", "an object", "compiled code", "the old format"],
)
def test_a_program_with_a_pickle_in_it_is_refused_before_it_runs(bundle, tmp_path, place):
    ran = tmp_path / "ran"
    buffer = io.BytesIO()
    torch.save(Touch(ran), buffer)
    evil = {**place, "data": buffer.getvalue(), "pickle": buffer.getvalue()}
    program = tmp_path / "model.pt2"
    spoiled_program(bundle / "frozen" / "model.pt2", program, evil)
    if "flag" in place:
        spoiled_program(program, tmp_path / "flagged.pt2", {"in": place["flag"]})
        program = tmp_path / "flagged.pt2"
    with pytest.raises(InputError, match="holds more than plain tensors"):
        exported_program.load(program.read_bytes(), "model.pt2")
    assert not ran.exists()


def test_a_program_that_swells_when_unpacked_is_refused(bundle, tmp_path):
    program = tmp_path / "model.pt2"
    with zipfile.ZipFile(bundle / "frozen" / "model.pt2") as old, zipfile.ZipFile(program, "w") as new:
        for name in old.namelist():
            packed = zipfile.ZIP_DEFLATED if "weights/weight_0" in name else zipfile.ZIP_STORED
            new.writestr(name, old.read(name), packed)
    with pytest.raises(InputError, match="holds more than plain tensors"):
        exported_program.load(program.read_bytes(), "model.pt2")
