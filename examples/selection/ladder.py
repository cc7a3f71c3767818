"""A ladder from wrong injections to right ones: see ladder.mk, which calls this.

python examples/selection/ladder.py weigh INJECTIONS LENSES     # injections as lenses of a population
python examples/selection/ladder.py draw WORK FIGURE            # what each rung finds, as lines and as a figure

The population: lenses around these galaxies with theta_e - 0.5 arcsec from a gamma distribution of shape 2 and scale
0.30 arcsec, as in wrong_ways.py, and sources of counts 10^(0.3 m), no fainter once lensed than the injections. An
injection stands for theta_e f(theta_e) 10^(0.3 source_mag) of them: the design is uniform in log theta_e, in lensed
magnitude and in the area in which the source lies.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
from matplotlib import rc_context, rcParamsDefault
from matplotlib.figure import Figure

from lensctl.io.html.figures import SETTINGS, render
from lensctl.io.provenance.steps import chain_of, stamp
from lensctl.io.tables.files import read_table, write_table

SHAPE, SCALE_ARCSEC, LEAST_ARCSEC, SLOPE = 2, 0.30, 0.5, 0.3
DRAWS, SEED = 2000, 42
RUNGS = {
    "origin": "red sources, gain 150, confusers as hosts",
    "colours": "colours of sources",
    "gain": "gain of the coadds",
    "hosts": "early types",
    "all": "all three",
}
SCORED = ("logit", "p", "logit_0", "role", "embedding")
GREY, BLUE = "#7f7f7f", "#0072b2"


def weights(theta_e, lensed_mag, magnification):
    """Lenses of the population that an injection stands for, in any unit: (N,)."""
    wide = np.maximum(theta_e - LEAST_ARCSEC, 0) / SCALE_ARCSEC
    source_mag = lensed_mag + 2.5 * np.log10(magnification)
    return theta_e * wide ** (SHAPE - 1) * np.exp(-wide) * 10 ** (SLOPE * (source_mag - 24))


def weights_of(table):
    """`weights` of a table of injections: (N,)."""
    return weights(*(np.asarray(table[name], float) for name in ("theta_e", "lensed_mag_r", "magnification")))


def weigh(injections, output):
    """Write injections as lenses of the population, for `lensctl selection apply`: they have weights, and no scores."""
    table = read_table(injections)
    kept = table.drop_columns([name for name in SCORED if name in table.column_names])
    write_table(stamp(kept.append_column("weight", pa.array(weights_of(table))), chain_of(table)), output)


def sums(table, level):
    """For each HEALPix pixel: injections, those found, their weight, the weight found: pixels (P,), sums (P, 4).

    Hosts at or above the threshold without an arc are left out, as `lensctl selection fit` does.
    """
    logit, host, pixel = (np.asarray(table[name], float) for name in ("logit", "logit_host", "healpix_128"))
    weight, kept = weights_of(table), host < level
    found = (logit >= level).astype(float)
    pixels, place = np.unique(pixel[kept], return_inverse=True)
    each = (np.ones(len(found)), found, weight, weight * found)
    return pixels, np.stack([np.bincount(place, values[kept]) for values in each], axis=1)


def compared(rungs):
    """Share of the box and of the population that each rung finds, and how much more than the first rung's box.

    Parameters
    ----------
    rungs : dict of (pixels, sums)
        As `sums` gives them, the origin first.

    Returns
    -------
    dict of dict
        For each rung `box`, `population`, `box_change`, `population_change`: (value, low, high), 95 % by bootstrap over
        HEALPix pixels, the same pixels for all rungs, so that rungs of the same galaxies are compared in pairs. Changes
        are from the box of the origin.
    """
    every = np.unique(np.concatenate([pixels for pixels, _ in rungs.values()]))
    random = np.random.default_rng(SEED)
    times = random.multinomial(len(every), np.full(len(every), 1 / len(every)), DRAWS)
    times = np.concatenate([np.ones((1, len(every))), times])  # the sample itself first
    shares = {}
    for name, (pixels, each) in rungs.items():
        n, found, weight, weight_found = (times[:, np.searchsorted(every, pixels)] @ each).T
        with np.errstate(invalid="ignore", divide="ignore"):
            shares[name] = {"box": found / n, "population": weight_found / weight}
    origin = next(iter(shares.values()))["box"]
    return {
        name: {
            **{what: interval(share) for what, share in of.items()},
            **{f"{what}_change": interval(share - origin) for what, share in of.items()},
        }
        for name, of in shares.items()
    }


def interval(draws):
    """The first value, and the middle 95 % of the others."""
    return (float(draws[0]), *(float(end) for end in np.nanquantile(draws[1:], (0.025, 0.975))))


def read(work):
    """The rungs of a folder that ladder.mk made: what `compared` takes, and what `apply` said of each."""
    rungs, told = {}, {}
    for name in RUNGS:
        facts = json.loads((work / f"fit-{name}" / "selection.json").read_text())
        table = read_table(str(work / f"fit-{name}" / "tables" / "injections.parquet"))
        rungs[name] = sums(table, facts["thresholds"][0]["logit"])
        told[name] = json.loads((work / "receipts" / f"{name}.json").read_text().splitlines()[-1])["completeness"]
    return rungs, told


def lines(found, told):
    """What the page quotes, a line each."""
    for name, shares in found.items():
        box, population = (written(shares[what]) for what in ("box", "population"))
        yield f"{RUNGS[name]}: box mean {box}, of the population {population}"
    for name, what, text in STEPS[1:]:
        value, low, high = found[name][f"{what}_change"]
        yield f"change by {text}: {value:+.3f} ({low:+.3f} to {high:+.3f})"
    for name, said in told.items():
        averages = [written(tuple(said[way]["within"][end] for end in ("value", "low", "high")))
                    for way in ("plug_in", "importance") if said[way]]  # fmt: skip
        yield f"apply, {RUNGS[name]}: {' and '.join(averages) or '; '.join(said['reasons'])}"


STEPS = (
    ("origin", "box", "origin: box mean"),
    ("colours", "box", "colours alone"),
    ("gain", "box", "gain alone"),
    ("hosts", "box", "hosts alone"),
    ("all", "box", "all three"),
    ("origin", "population", "population alone"),
    ("all", "population", "all together"),
)
"""The ladder: a rung, what its share is of, and what it is called."""


def written(estimate):
    """A share with its interval."""
    return "{:.3f} ({:.3f} to {:.3f})".format(*estimate)


def drawn(found):
    """The ladder as a figure."""
    with rc_context({**rcParamsDefault, **SETTINGS}):
        figure = Figure(figsize=(6.4, 3.2), layout="constrained")
        axes = figure.subplots()
    for row, (name, what, _) in enumerate(STEPS):
        value, low, high = found[name][what]
        colour = GREY if what == "box" else BLUE
        axes.plot([low, high], [row, row], color=colour, lw=2)
        axes.plot(value, row, "o", color=colour)
        axes.annotate(f"{value:.3f}", (high, row), (6, 0), textcoords="offset points", va="center", fontsize=8)
    axes.axvline(found["origin"]["box"][0], color=GREY, lw=0.8, ls=":")
    axes.set_yticks(range(len(STEPS)), [step[2] for step in STEPS])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.15 * max(found[name][what][2] for name, what, _ in STEPS))
    axes.set_xlabel("share found, 95 %, mock survey; grey: of the box, blue: of the population")
    return figure


def main(action, first, second):
    """One of the two actions."""
    if action == "weigh":
        weigh(first, second)
    elif action == "draw":
        rungs, told = read(Path(first))
        found = compared(rungs)
        sys.stdout.writelines(f"{line}\n" for line in lines(found, told))
        Path(second).write_bytes(render(drawn(found), "png"))
    else:
        sys.exit(f"no action '{action}': weigh or draw")


if __name__ == "__main__":
    main(*sys.argv[1:4])
