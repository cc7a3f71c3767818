"""The galleries of the report: which galaxies each shows, and what stands on the card of each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lensctl.evaluate import listings
from lensctl.evaluate.evaluation import Evaluation
from lensctl.evaluate.scored import Scored

SHOWN_BY_GALLERY = {"top": 200}


SHOWN_OTHERWISE = 24


def galleries_shown(evaluation: Evaluation) -> dict[str, Scored]:
    """The galaxies shown in the report, by gallery."""
    found = {}
    for name, part in evaluation.galleries.items():
        count = SHOWN_BY_GALLERY.get(name.split(" ")[0], SHOWN_OTHERWISE)
        found[name] = part.head(count)
    return found


def cards_of(part: Scored, pictures: Sequence[str], grades: Mapping[str, str]) -> list[dict[str, Any]]:
    """One mapping of what the card of each galaxy shows, in order; `pictures` may be empty."""
    galaxies = part.text("galaxy_id").tolist()
    columns = {
        "galaxy_id": galaxies,
        "grade": [grades.get(galaxy, "") for galaxy in galaxies],
        **{
            axis: ["" if math.isnan(value) else value for value in part.number(axis).tolist()] for axis in ("ra", "dec")
        },
        "p": part.p.tolist(),
        "is_lens": part.is_lens.tolist(),
        "tier": part.tier.tolist(),
        "kind": [category or tier for category, tier in zip(part.category, part.tier, strict=True)],
        "stratum": [
            ", ".join(filter(None, (kind, bin and f"nobs {bin}")))
            for kind, bin in zip(part.text("type"), part.text(part.survey.nobs_bin), strict=True)
        ],
        "viewer": listings.viewer_links(part),
        "picture": list(pictures) or [""] * len(part),
    }
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
