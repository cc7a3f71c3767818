"""Print what is in the files that lensctl reads and writes: columns, arrays, keys, folders.

python docs/reference/files.py > docs/reference/files.md
"""

import sys
from collections.abc import Iterable

from lensctl.frozen.layout import SIGNATURE, SUMS, expected_files
from lensctl.io.cutouts.layout import ALIGNED, PIXELS
from lensctl.io.cutouts.npz import PROVENANCE, REQUIRED
from lensctl.io.cutouts.npz_metadata import KEYS, WRITTEN, carried
from lensctl.rules import schema
from lensctl.rules.checks import Check
from lensctl.rules.columns import galaxies, lenses, results
from lensctl.rules.columns.column import Column
from lensctl.rules.quality import STATUSES
from lensctl.rules.survey import LS_DR10

HEAD = """# Files and columns

Made from the code by `python docs/reference/files.py > docs/reference/files.md`; a test compares it. `lensctl show FILE`
describes any of these files, with the unit and meaning of each column.

A column has one name, type and unit wherever it occurs. `{band}` stands for each band of the survey (g, r, z of ls-dr10),
`{depth}` for the band that strata are made of (z), `{bluer}`, `{redder}` for the two of a colour (g, r and r, z), `{bluest}`,
`{second}` for those of the first colour. Columns that a table brings and lensctl does not know are carried through. Types are
Arrow's; in FITS and VOTable they are the nearest there are. Every input is cast to these types; 3.0 and "3" are integers,
and null, NaN, infinity and empty text are unknown."""

GROUPS = (
    ("Identity", "Every table of galaxies.", galaxies.IDENTITY),
    (
        "From the catalogue",
        "`crossmatch` and `pool` take these from Tractor files or sweeps, by their names and units there.",
        galaxies.MEASURED,
    ),
    ("Derived", "Added by `pool` and `crossmatch`; the last two by `sample`.", galaxies.DERIVED),
    ("Positives", "Added by `crossmatch`; `tier` and `sample_weight` by `sample` to negatives too.", galaxies.POSITIVE),
    ("Hosts", "Added by `hosts`.", galaxies.HOST),
    ("Cutouts", "`index.parquet` of a store; the manifest has `status` and `cutout_ok`.", results.CUTOUT),
    ("Manifest", "Added by `manifest`, beside the columns above.", results.MANIFEST),
    (
        "Scores",
        "Added by `score`, which carries every column of its input; `logit_0`, `logit_1`, … are the members of an "
        "ensemble, and `embedding` a list of fixed length, what enters the last layer.",
        results.SCORED,
    ),
    ("Search", "`candidates.parquet` and `scores/` of a search, beside the columns of its tables.", results.SEARCHED),
    ("Known lenses", "`known_lenses.parquet` of a search, beside `ra`, `dec`, `tier`, `ref`, `rank`, `logit` and `status`.",
     lenses.KNOWN),
    ("What is seen of arcs", "Added by `selection observe` and `selection measure`.", results.OBSERVED),
    ("Injections", "`index.parquet` of a store of `inject`, and `selection measure`; `selection population` has those that it "
     "draws.", lenses.INJECTED),
    ("Populations", "Of `selection population`, beside columns of injections and of hosts.", lenses.POPULATION),
    ("Detected", "Added by `selection apply`.", lenses.DETECTED),
    ("The truth of a mock survey", "`truth.parquet` of `sky`, beside columns of the catalogue and, of a lens, of injections.",
     lenses.TRUTH),
)  # fmt: skip

TABLES = {
    "Tables of an evaluation": ("`tables/` of `evaluate`. Ends of intervals are `…low` and `…high`, 95 %.", {
        "levels": ("criteria of each level", "level, criterion, value, low, high, n, few (ten events or fewer), why "
                   "(there is no interval), text (a bound), limit, verdict"),
        "thresholds": ("thresholds, chosen on val", "name, target_fpr, logit, p, found, lenses, false, others (found of the lenses "
                       "of val, and taken of its others), text"),
        "strata": ("figures of each group of test", "by (the column), group, lenses, others; recall, fpr and auc, each with _low, "
                   "_high, _few, _why"),
        "reliability": ("bins of the reliability diagrams", "of (p or calibrated p), bins (equal width or equal mass), low, high "
                        "(ends of the bin), n, lenses, mean_p, observed, observed_low, observed_high (share of lenses)"),
        "roc": ("points of the ROC of each split", "split, logit, fpr, recall, recall_low, recall_high"),
        "purity_completeness": ("on test, as it is; purity_completeness_sky at `--prevalence`",
                                "logit, completeness, purity, purity_low, purity_high"),
        "top": ("highest scores of test", "rank, viewer (address of a picture); of the scores galaxy_id, ra, dec, label, tier, "
                "type, nobs_{depth}_bin, confuser_category, ref, psfsize_{depth}, psfdepth_{depth}, logit, p"),
        "mistakes": ("the same of lenses scored low and others scored high", "list (which of them), and the columns of top"),
        "test_scores": ("scores of test, for a comparison", "galaxy_id, label, split, tier, healpix_128, logit, p, "
                        "confuser_category"),
        "val_scores": ("scores that thresholds were chosen on", "galaxy_id, label, logit"),
    }),
    "Tables of a selection function": ("`tables/` of `selection fit`, a row for each threshold. p is a share found.", {
        "cells": ("shares of the injections found in cells", "threshold, axis, low, high, second (another axis, or empty), "
                  "second_low, second_high, k (found), n, n_eff, p, p_low, p_high, why (there is no figure)"),
        "controls": ("controls beside the injections they change", "control, meaning, threshold, n, lost, detected, p, p_low, "
                     "p_high, p_unchanged (of those injections), difference, difference_low, difference_high, most_from_host "
                     "(greatest change of a logit from the host's own)"),
        "sensitivity": ("variations of the injector's assumptions", "vary, group (the assumption), threshold, n, p_standard, "
                        "p_varied, shift, shift_low, shift_high, logit_shift (the shift as one of the logit of p_det)"),
        "closure": ("closure on real lenses", "lenses (which), threshold, n, pixels, unobserved (no observables), outside (the "
                    "support), recall, p_mean (mean p_det), difference, standard_error"),
        "closure_lenses": ("the same, lens by lens", "galaxy_id, tier, threshold, logit, detected, p_det, p_low, p_high, inside"),
        "failure_modes": ("where most is missed", "threshold, by (population or design), axis, low, high, second, second_low, "
                          "second_high, weight (share of all in the cell), p, p_low, p_high, missed (its share of what is missed)"),
        "failures": ("injections without a score", "reason, rows, hosts"),
        "parent": ("known lenses that meet the pool's criteria", "tier, value (the share), low, high, n, events, interval (its "
                   "kind), why, text, few"),
        "draws": ("draws of the coefficients of p_det", "threshold, round, coefficients"),
        "injections": ("what was fitted", "columns of injections, scores and observables; logit_host (without arcs), delta_logit"),
        "hosts": ("hosts without arcs", "columns of cutouts, scores and observables"),
        "real": ("real lenses", "columns of the scores, and observables"),
    }),
}  # fmt: skip
"""What the tables of the two folders hold; tests/docs/test_made_pages.py compares it with what is written."""

STORE = """
## Cutout store

A Zarr v3 group; zarr, xarray and tensorstore read it without lensctl. N is the number of cutouts, S the pixels of a side,
B the bands. The order of the rows is that of `index.parquet` beside the arrays, which has the text and quality columns. A
row that failed is there, flagged by its `status`, and NaN. The attributes hold the bands, the pixel scale, the survey and the
provenance."""

FOLDERS = """
## Folders

| folder | made by | what is in it |
|---|---|---|
| mock survey | `sky` | `lenses.csv`, `truth.parquet`, `README.md`, `provenance.json`, `survey-bricks.fits.gz`, and `south/` with Tractor catalogues, sweeps and coadds |
| run | `train` | `best.safetensors`, `last.safetensors` (for `--resume`), `run.json`, `metrics.jsonl`, `metrics.csv`, \
`golden.npz` (inputs that a frozen model is verified with), `val_scores.parquet` (the rows of val that thresholds come from); of \
an ensemble in `member-0/`, `member-1/`, … |
| evaluation | `evaluate` | `metrics.json`, `report.html`, `tables/` (parquet and CSV), `plots/` (PNG and PDF) |
| frozen model | `freeze` | {frozen}; of an ensemble the weights in `member-0/`, …; `CITATION.cff` and `LICENSE` where given; `{signature}` where signed; `{sums}` |
| search | `search` | `candidates.parquet`, `.fits`, `.vot`, `.reg`; `candidates.zarr`; `scores/` by HEALPix pixel, or a HATS catalogue; \
`searched.moc.fits`, `lost.moc.fits`; `known_lenses.parquet`; `search.json`; `report.html` |
| selection function | `selection fit` | `selection.json`, `report.html`, `tables/`, `plots/` with maps as FITS too, `evaluate.py` \
and `golden.csv`, which need numpy alone |
| attachment | `selection attach` | `attachment.json`, `selection/`, `gates.jsonl`, `{sums}` |

Where a run has fewer than 100 lenses in val, `val_scores.parquet` has all of val; otherwise the half that stopped no training.

## Time and luck

The columns and keys {luck}
differ from run to run. Digests leave them out; no other column, and no file, holds a clock, a host name or an absolute path."""


def columns(of: Iterable[Column]) -> list[str]:
    """A table of columns."""
    rows = (f"| `{each.name}` | {each.type} | {each.unit} | {each.meaning} |" for each in of)
    return ["", "| column | type | unit | meaning |", "|---|---|---|---|", *rows]


def store() -> list[str]:
    """The arrays of a store."""
    units = {"images": "nanomaggy", "invvar": "1/nanomaggy^2", "psfsize": "arcsec", "arcs": "nanomaggy"}
    meanings = {
        "images": "the cutouts",
        "invvar": "inverse variance (`--planes invvar`)",
        "maskbits": "bits of the coadd (`--planes maskbits`); all bits set: no plane",
        "psfsize": "FWHM of the Gaussian with the PSF's noise-equivalent area (`--planes psfsize`)",
        "arcs": "the light that `inject` added, of some rows",
    }
    lines = [STORE, "", "| array | shape | type | unit | what |", "|---|---|---|---|---|"]
    for name, of in PIXELS.items():
        shape = "(N, S, S, B)" if of.per_band else "(N, S, S)"
        lines.append(f"| `{name}` | {shape} | {of.data_type} | {units.get(name, '')} | {meanings[name]} |")
    lines += [f"| `{name}` | (N,) | {kind} | {'deg' if kind == 'float64' else ''} | as in the index |"
              for name, (kind, _) in ALIGNED.items()]  # fmt: skip
    return [*lines, "", f"`status` is one of: {', '.join(STATUSES)}."]


def npz() -> list[str]:
    """The members of an .npz."""
    keys = {**{keys[0]: name for name, keys in KEYS.items()}, **{key: name for name, key in WRITTEN.items()}}
    also = ", ".join(f"`meta_{name}`" for name in carried(LS_DR10))
    rows = [f"| `{key}` | as column `{name}` |" for key, name in sorted(keys.items())]
    return [
        "",
        "## .npz",
        "",
        f"One cutout, as `export` writes and `pack` reads it; never pickled. Needed are {', '.join(map('`{}`'.format, REQUIRED))}.",
        "",
        "| member | what |",
        "|---|---|",
        "| `cutout` | (S, S, B) float32, nanomaggies |",
        "| `meta_galaxy_id`, `meta_ra`, `meta_dec` | id; position in degrees, ICRS |",
        *rows,
        f"| {also} | of the galaxy's row |",
        f"| `{PROVENANCE}` | the steps that made it, JSON |",
        "",
        "Other `meta_*` are carried through.",
    ]


JSON = {"str": "string", "bool": "true or false", "int": "number", "float or None": "number or null",
        "float, int, str or None": "number, string or null", "tuple of str": "array of strings"}  # fmt: skip


def gate_lines() -> list[str]:
    """The keys of one line of a gate."""
    text = (Check.__doc__ or "").split("----------\n")[1]
    lines = [
        "",
        "## Lines of a gate",
        "",
        "`gate` and `verify` print one JSON object a line.",
        "",
        "| key | type | what |",
    ]
    lines.append("|---|---|---|")
    for line in text.splitlines():
        if line.startswith("    ") and not line.startswith("     ") and " : " in line:
            name, kind = line.strip().split(" : ")
            lines.append(f"| {', '.join(f'`{each}`' for each in name.split(', '))} | {JSON[kind]} | |")
        elif line.strip():
            lines[-1] = lines[-1].removesuffix(" |") + f" {line.strip()} |"
    return [*lines, "| `gate_version` | number | Version of what gates judge; `freeze` refuses an older one |"]


def page() -> list[str]:
    """All lines of the page."""
    lines = [HEAD]
    for title, says, of in GROUPS:
        lines += ["", f"## {title}", "", says, *columns(of)]
    for title, (says, tables) in TABLES.items():
        lines += ["", f"## {title}", "", says, "", "| table | what | columns |", "|---|---|---|"]
        lines += [f"| `{name}` | {what} | {those} |" for name, (what, those) in tables.items()]
    lines += [*store(), *npz(), *gate_lines()]
    frozen, luck = (
        ", ".join(f"`{name}`" for name in expected_files(1)),
        ", ".join(f"`{n}`" for n in schema.NONDETERMINISTIC),
    )
    return [*lines, FOLDERS.format(frozen=frozen, signature=SIGNATURE, sums=SUMS, luck=luck)]


if __name__ == "__main__":
    sys.stdout.write("\n".join((*page(), "")))
