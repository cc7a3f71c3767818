"""Visual inspection: grades given in a report, and their effect on the metrics.

Thresholds, calibration, headline and verdict keep the original labels: only galaxies selected by the model are graded,
so correcting their labels biases the metrics in its favour. The key metrics on test are also computed without graded
galaxies whose grade contradicts the label: negatives graded as lenses (A or B), and lenses graded as non-lenses (not).
Grade C contradicts neither label.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.evaluate import summary_metrics
from lensctl.evaluate.scored import Scored
from lensctl.io.tables import lens_catalogs
from lensctl.io.tables.lens_catalogs import Grades, read_grades
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

__all__ = ["Grades", "as_table", "contradicted", "figures", "given", "read_grades"]
SHOWN = ("galaxy_id", "ra", "dec", "label", "tier", "confuser_category", "split", "logit", "p")
LENS, NO_LENS = "left out: a lens among the others", "left out: no lens"
NOTE = (
    "Only galaxies selected by a model are graded, so metrics after grading are biased in its favour. Thresholds, "
    "calibration, headline and verdict keep the original labels."
)


def given(part: Scored, grades: Grades) -> NDArray[np.object_]:
    """Grade of each row; None if ungraded."""
    return np.array([grades.of.get(str(galaxy)) for galaxy in part.table["galaxy_id"].to_pylist()], dtype=object)


def contradicted(part: Scored, grade: NDArray[np.object_]) -> NDArray[np.object_]:
    """Effect of the grade on each row: LENS, NO_LENS, or None if it does not contradict the label."""
    effect = np.full(len(part), None, dtype=object)
    effect[~part.is_lens & np.isin(grade, lens_catalogs.TIERS)] = LENS
    effect[part.is_lens & (grade == lens_catalogs.NO_LENS)] = NO_LENS
    return effect


def figures(
    scored: Scored,
    test: Scored,
    grades: Grades,
    before: Mapping[str, Any],
    rounds: int,
    seed: int,
    *,
    elsewhere: int = 0,
) -> dict[str, Any]:
    """Counts of grades, and the key metrics of test before and after grading.

    Parameters
    ----------
    scored, test : Scored
        All scored rows, and those of test.
    before : mapping
        `summary_metrics.of` test with original labels.
    elsewhere : int
        Graded galaxies among other scores that are judged too.

    Raises
    ------
    InputError
        None of the graded galaxies is among the scores.
    """
    grade = given(scored, grades)
    known = int((grade != None).sum())  # noqa: E711
    if not known and not elsewhere:
        raise InputError(
            f"{grades.source.name}: none of its {len(grades.of):,} galaxies is among the scores",
            "grades and scores must have the same galaxy_id",
        )
    effect = contradicted(test, given(test, grades))
    after = summary_metrics.measured(test.where(effect == None), rounds, seed)  # noqa: E711
    rows = [{"figure": name, "before": before[name], "after": after[name]} for name in before if name in after]
    return {
        "name": grades.source.name,
        "digest": grades.source.digest,
        "graded": len(grades.of),
        "among_scores": known,
        "counts": _counts(scored, grade),
        "left_out_of_test": {
            "others_that_are_lenses": int((effect == LENS).sum()),
            "lenses_that_are_none": int((effect == NO_LENS).sum()),
        },
        "figures": rows,
        "note": NOTE,
    }


def _counts(scored: Scored, grade: NDArray[np.object_]) -> list[dict[str, Any]]:
    """Counts by original class (lenses by tier, non-lenses by confuser category) and by grade."""
    kinds = np.where(scored.category.astype(bool), scored.category, scored.tier)
    counts = Counter(zip(kinds.tolist(), grade.tolist(), strict=True))
    return [
        {"taken_for": kind, **{one: counts[kind, one] for one in lens_catalogs.GRADES}}
        for kind in sorted({kind for kind, one in counts if one is not None})
    ]


def as_table(scored: Scored, grades: Grades) -> pa.Table:
    """Every graded galaxy and the effect of its grade."""
    import pyarrow as pa

    grade = given(scored, grades)
    part = scored.where(grade != None)  # noqa: E711
    part_grades = given(part, grades)
    names = [name for name in SHOWN if name in part.table.column_names]
    table = part.table.select(names).replace_schema_metadata()
    table = table.append_column("grading", pa.array(part_grades.tolist(), pa.string()))
    return table.append_column("effect", pa.array(contradicted(part, part_grades).tolist(), pa.string())).sort_by(
        "galaxy_id"
    )
