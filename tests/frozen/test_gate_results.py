"""Lines of gates: a gate that is missing, failed or judged something else freezes nothing."""

from __future__ import annotations

import pytest

from lensctl.frozen import gate_results
from lensctl.frozen.gate_results import REQUIRED_GATES
from lensctl.rules.checks import GATE_VERSION
from lensctl.rules.errors import InputError
from tests.toys import frozen as frozen_toys
from tests.toys.freezing import frozen_of


@pytest.mark.parametrize("gate", REQUIRED_GATES)
def test_a_gate_that_is_missing_failed_or_judged_something_else_is_refused(folder, gate):
    lines = frozen_toys.gate_lines(folder)
    spoiled = {
        "there is no line of it": [line for line in lines if line["gate"] != gate],
        "not passed": [{**line, "passed": line["gate"] != gate} for line in lines],
        "judged something else": [
            {**line, "input_digest": "sha256:" + "7" * 64} if line["gate"] == gate else line for line in lines
        ],
    }
    for reason, changed in spoiled.items():
        frozen_toys.write_gates(folder, changed)
        with pytest.raises(InputError, match=f"{gate}: .*{reason}|{gate}: {reason}"):
            frozen_of(folder)


def test_one_failed_check_among_passed_ones_is_a_failed_gate(folder):
    lines = frozen_toys.gate_lines(folder)
    frozen_toys.write_gates(folder, [*lines, {**lines[0], "check": "one more", "passed": False}])
    with pytest.raises(InputError, match="one more"):
        frozen_of(folder)


def test_lines_about_other_data_do_not_matter_beside_the_right_ones(folder):
    lines = frozen_toys.gate_lines(folder)
    old = [{**line, "passed": False, "input_digest": "sha256:" + "7" * 64} for line in lines]
    frozen_toys.write_gates(folder, [*old, *lines])
    assert not frozen_of(folder).allowed


@pytest.mark.parametrize("text", ["", "not json\n", '{"gate": "pool"}\n', '["pool"]\n', '{"passed": true}\n'])
def test_a_file_that_is_no_gates_is_refused(folder, text):
    (folder / "gates.jsonl").write_text(text)
    with pytest.raises(InputError, match=r"gates\.jsonl"):
        frozen_of(folder)


def test_lines_of_another_version_are_named_and_a_line_without_one_is_of_version_1():
    lines = [{"gate": gate, "gate_version": GATE_VERSION} for gate in gate_results.REQUIRED_GATES]
    assert gate_results.outdated(lines) == []
    del lines[1]["gate_version"]
    lines[6]["gate_version"] = GATE_VERSION + 1
    assert gate_results.outdated(lines) == ["splits", "shortcut"]
