"""The share of false candidates that each null leaves, over 200 made-up skies: docs/science/false-discovery.md."""

from __future__ import annotations

from collections.abc import Iterator

from lensctl.stats.false_discovery import CLASSES, RANDOM
from tests.stats.test_false_discovery import FAINT, STATED, TARGET, Sky, mean_of

SEEDS = 200
WRONG = {
    "random galaxies, where 1 % are look-alikes": (Sky(), RANDOM, {"enriched": 0.3}),
    "no groups, the null fainter": (FAINT, CLASSES, {"enriched": 0.3}),
}


def figures() -> Iterator[dict[str, object]]:
    for honest, cases in ((True, STATED), (False, WRONG)):
        for what, (sky, name, options) in cases.items():
            share, error, power = mean_of(SEEDS, sky, name, **options)
            holds = share <= TARGET + 2 * error
            yield {
                "what": what,
                "q": name,
                "stated": TARGET,
                "realised": round(share, 4),
                "error": round(error, 4),
                "lenses_found": round(power, 3),
                "holds": bool(holds) == honest,
            }
