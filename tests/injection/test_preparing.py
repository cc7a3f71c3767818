"""What a user says of injections is checked before anything is read, and is all of a step's parameters."""

from __future__ import annotations

import pytest

from lensctl.injection.preparing import Options, prepare
from lensctl.rules.errors import InputError
from tests.toys.hosts import make_hosts


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"control": "x"}, "x"),
        ({"vary": "x"}, "x"),
        ({"noise": "loud"}, "--noise 'loud' does not exist"),
        ({"source_model": "disc"}, "--source-model 'disc' does not exist"),
        ({"source_model": "stamps"}, "--source-model stamps and --stamps FILE belong together"),
        ({"per_host": 0}, "0 injections a host are none"),
        ({"psf_beta": 1.0}, "a Moffat of beta 1 is no PSF"),
    ],
)
def test_what_does_not_exist_is_refused_before_anything_is_read(wrong, message):
    with pytest.raises(InputError, match=message):
        prepare("nowhere.parquet", "nowhere.zarr", Options(**wrong))


def test_a_step_has_every_option_that_decides_the_result(tmp_path):
    hosts = make_hosts(tmp_path, count=3)
    ready = prepare(str(hosts.table), str(hosts.store), Options(per_host=2, seed=7, vary="re+20"))
    assert set(ready.parameters) == set(vars(Options())) - {"stamps"}
    assert (ready.parameters["seed"], ready.parameters["vary"]) == (7, "re+20")
    assert ready.parameters["design"] == ready.source.settings.design.as_dict()
    assert (ready.rows.num_rows, ready.hosts) == (6, 3)
    assert ready.layout(4).planes == ("invvar", "arcs")
