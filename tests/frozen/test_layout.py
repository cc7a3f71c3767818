"""The sums of a frozen model: those that sha256sum checks."""

from __future__ import annotations

import subprocess

from lensctl.frozen import signature
from tests.toys import frozen as frozen_toys
from tests.toys.freezing import frozen_of


def test_the_sums_are_those_that_sha256sum_checks(folder):
    private, _ = frozen_toys.key_pair(folder)
    frozen_of(folder, key=signature.private_key(private))
    done = subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=folder / "out", capture_output=True)
    assert done.returncode == 0
    assert done.stdout.count(b": OK") == 10
