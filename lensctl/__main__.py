"""`python -m lensctl` is `lensctl`."""

from lensctl.cli.main import run

run()
