"""Print what lensctl needs without a neural network: its dependencies but torch and torchvision.

python emr_bootstrap/light.py > emr_bootstrap/light.txt
"""

import re
import sys
import tomllib
from pathlib import Path

NETWORKS = {"torch", "torchvision"}


def light(dependencies: list[str]) -> list[str]:
    """The requirements whose package is neither torch nor torchvision, as they are written."""
    return [need for need in dependencies if re.split(r"[^\w.-]", need, maxsplit=1)[0] not in NETWORKS]


if __name__ == "__main__":
    with (Path(__file__).resolve().parents[1] / "pyproject.toml").open("rb") as file:
        needs = light(tomllib.load(file)["project"]["dependencies"])
    header = "# Made from pyproject.toml by light.py: all dependencies but torch and torchvision"
    sys.stdout.write("\n".join((header, *needs, "")))
