"""Boxes of the sky around some lenses of lenscat, as addresses of the cutout service's box query, one a line.

python boxes.py lenscat.csv --server https://www.legacysurvey.org/viewer --lenses 300 > boxes.txt
python boxes.py --plan boxes.txt

Taken are lenscat's rows from the DESI imaging searches (`DESI-` in the name) that are graded confident or probable and
lie between -18 and +32 degrees, well inside DR10: confident ones first, all in the order of a hash of the name. Boxes
that would touch one already taken are left out, so that no galaxy is read twice.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import sys
from pathlib import Path

from lensctl.io.tables.lens_catalogs import TIERS, grade_of, read_lens_catalog

SIDE_DEG = 0.2
SOUTH_DEG, NORTH_DEG = -18.0, 32.0
APART = 1.05  # the service cuts the box in a tangent plane, so that its sides are not quite where they are asked

OBJECTS_PER_SQ_DEG = 100_000
BYTES_PER_OBJECT = 2_445  # a row of DR10's Tractor catalogues, by their columns
SECONDS_PER_BOX = 10.0
BOXES_AT_ONCE = 2
NEGATIVES_PER_LENS = 10
CUTOUTS_PER_SECOND = 4.0
BYTES_PER_CUTOUT = 101 * 101 * 3 * 4
TRAINING_MINUTES = 10.0


def places(catalog: str, count: int) -> list[tuple[float, float]]:
    """Centres of the boxes, degrees."""
    rows = read_lens_catalog(catalog).to_pylist()
    found = []
    for row in rows:
        name, grade = str(row["name"] or ""), grade_of(row["grading"])
        if "DESI-" in name and grade in TIERS and SOUTH_DEG < row["dec"] < NORTH_DEG:
            found.append((grade, hashlib.md5(name.encode()).hexdigest(), row["ra"], row["dec"]))
    taken: list[tuple[float, float]] = []
    for _, _, ra, dec in sorted(found):
        if len(taken) == count:
            break
        half = SIDE_DEG / 2 / math.cos(math.radians(dec))
        if half < ra < 360 - half and not any(touch(ra, dec, *other) for other in taken):
            taken.append((ra, dec))
    return sorted(taken)


def touch(ra: float, dec: float, other_ra: float, other_dec: float) -> bool:
    """Whether boxes around two positions touch."""
    apart = abs((ra - other_ra + 180) % 360 - 180) * math.cos(math.radians(max(abs(dec), abs(other_dec))))
    return abs(dec - other_dec) < SIDE_DEG * APART and apart < SIDE_DEG * APART


def address(server: str, ra: float, dec: float) -> str:
    """The box query around a position."""
    half = SIDE_DEG / 2 / math.cos(math.radians(dec))
    box = {"ralo": ra - half, "rahi": ra + half, "declo": dec - SIDE_DEG / 2, "dechi": dec + SIDE_DEG / 2}
    return f"{server}/ls-dr10/cat.fits?" + "&".join(f"{name}={value:.5f}" for name, value in box.items())


def plan(boxes: int) -> str:
    """What so many boxes cost: nobody has measured it on the real service."""
    cutouts = boxes * (1 + NEGATIVES_PER_LENS)
    rows = (
        ("step", "requests", "at most", "disk, GB", "minutes"),
        (
            "catalogues",
            f"{boxes:,}",
            f"{BOXES_AT_ONCE} at a time",
            f"{boxes * SIDE_DEG**2 * OBJECTS_PER_SQ_DEG * BYTES_PER_OBJECT / 1e9:.1f}",
            f"{boxes * SECONDS_PER_BOX / BOXES_AT_ONCE / 60:.0f}",
        ),
        (
            "cutouts",
            f"{cutouts:,}",
            f"{CUTOUTS_PER_SECOND:g} a second",
            f"{cutouts * BYTES_PER_CUTOUT / 1e9:.1f}",
            f"{cutouts / CUTOUTS_PER_SECOND / 60:.0f}",
        ),
        ("training, report", "0", "", "0.0", f"{TRAINING_MINUTES:g}"),
    )
    table = "\n".join(f"{row[0]:16}{row[1]:>10}{row[2]:>14}{row[3]:>10}{row[4]:>9}" for row in rows)
    return f"{table}\nAll of this is estimated: nobody has measured it on the real service.\n"


def main() -> None:
    """Print addresses, or with --plan what they cost."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("catalog", help="lenscat's CSV; with --plan the boxes")
    options.add_argument("--server", default="https://www.legacysurvey.org/viewer")
    options.add_argument("--lenses", type=int, default=300)
    options.add_argument("--plan", action="store_true")
    asked = options.parse_args()
    if asked.plan:
        sys.stdout.write(plan(len(Path(asked.catalog).read_text().splitlines())))
        return
    found = places(asked.catalog, asked.lenses)
    if not found:
        sys.exit(f"{asked.catalog}: no graded lens with DESI- in its name at {SOUTH_DEG:+g} to {NORTH_DEG:+g} degrees")
    sys.stdout.writelines(f"{address(asked.server, ra, dec)}\n" for ra, dec in found)


if __name__ == "__main__":
    main()
