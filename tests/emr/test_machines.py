"""Machines and their Spark settings: what goes together, what is within limits, what it may cost."""

from __future__ import annotations

import pytest

from lensctl.emr import machines
from lensctl.rules.errors import InputError
from tests.emr.test_bootstrap import FOLDER, MOST_GB


@pytest.mark.parametrize("preset", machines.PRESETS)
def test_a_preset_is_a_machine_whose_spark_settings_are_within_its_limit(preset):
    chosen = machines.choose(preset)
    assert machines.MOST_EXECUTOR_GB == MOST_GB, "the limits of the bootstrap's own test"
    assert machines.spark_settings(FOLDER, chosen.kind)[0]["Properties"]["spark.executor.memory"]
    assert chosen.most_node_hours == (1 + chosen.nodes) * chosen.hours


@pytest.mark.parametrize(("kind", "most"), MOST_GB.items())
def test_executor_memory_is_taken_up_to_the_limit_of_its_machine_and_refused_beyond(kind, most):
    for fits in (f"{most}g", f"{1024 * most}M", "512m"):
        settings = machines.spark_settings(FOLDER, kind, fits)
        assert settings[0]["Properties"]["spark.executor.memory"] == fits.lower()
    for beyond in (f"{most + 1}g", f"{1024 * most + 1}m"):
        with pytest.raises(InputError, match=f"more than YARN starts on {kind}"):
            machines.spark_settings(FOLDER, kind, beyond)
    for nonsense in ("lots", "4", "0g", "4gb"):
        with pytest.raises(InputError):
            machines.spark_settings(FOLDER, kind, nonsense)


def test_spot_nodes_never_cost_more_than_on_demand_ones_and_the_primary_is_none():
    primary, core = machines.choose("medium", market="spot").groups()
    assert (primary["Market"], "BidPrice" in primary) == ("ON_DEMAND", False)
    assert (core["Market"], "BidPrice" in core) == ("SPOT", False), "EMR's own limit is the on-demand price"
    assert machines.choose("medium", market="spot", max_price=0.07).groups()[1]["BidPrice"] == "0.07"
    assert "BidPrice" not in machines.choose("medium").groups()[1]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"preset": "medum"}, "no preset 'medum' .did you mean 'medium'"),
        ({"preset": "test", "kind": "m5.large"}, "no Spark settings for m5.large"),
        ({"preset": "test", "market": "cheap"}, "no market 'cheap'"),
        ({"preset": "test", "max_price": 0.1}, "max-price does not apply to on-demand"),
    ],
)
def test_machines_that_do_not_go_together_are_refused(given, words):
    with pytest.raises(InputError, match=words):
        machines.choose(**given)
