"""A search made ready: the model verified, its thresholds, criteria and coadds, and what is known beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensctl.io.cutouts.by_manifest import Origin
from lensctl.io.imaging.bricks import releases_of
from lensctl.io.imaging.coadds import CoaddSource
from lensctl.io.imaging.streaming import CutBlock, Window
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Chain, Input, Step, chain_of, step_input
from lensctl.io.storage.atomic import local_folder
from lensctl.io.storage.growing_folders import GrowingFolder
from lensctl.io.tables import sweeps
from lensctl.io.tables.criteria import Criteria, criteria_of
from lensctl.io.tables.files import chain_at
from lensctl.rules.config import nearest
from lensctl.rules.errors import InputError
from lensctl.rules.survey import Survey
from lensctl.search.blocks import Block, blocks_of
from lensctl.search.known import KnownLenses, read_known
from lensctl.search.null import GivenNull, read_null
from lensctl.search.rows import Plan, Planner
from lensctl.search.top import Wanted
from lensctl.search.training import Training, read_ids

if TYPE_CHECKING:
    from lensctl.learning.networks.checkpoint import ScoringModel

NO_CRITERIA = "none"


@dataclass(frozen=True)
class Search:
    """A search made ready: what is searched, with what, and what is known beforehand.

    Attributes
    ----------
    begun : Step
        The step as far as it is known before the tables are read.
    part : (K, N), optional
        Which part of it this run makes.
    """

    out: str
    files: list[str]
    model: ScoringModel
    points: list[dict[str, Any]]
    survey: Survey
    criteria: Criteria
    source: CoaddSource
    begun: Step
    chains: tuple[Chain, ...]
    wanted: Wanted
    training: Training
    lenses: KnownLenses | None
    null: GivenNull | None
    is_hats: bool
    part: tuple[int, int] | None = None

    @property
    def window(self) -> Window:
        """What is read of each cutout."""
        return Window(self.source.size, self.model.card.crop)

    def planner(self, place: GrowingFolder) -> Planner:
        """What makes the plan of a file."""
        return Planner(place, self.criteria, self.source, self.releases)

    @property
    def releases(self) -> tuple[str, ...]:
        """Data releases that the model was trained on, such as DR10; empty if unknown."""
        return releases_of(self.model.card.layers)

    def refuse_other(self, cut: CutBlock) -> None:
        """Raise InputError if coadds are of other layers or pixels than the model was trained on."""
        from lensctl.learning.networks.scorer import refuse_other_cutouts

        refuse_other_cutouts(self.model, (), Origin(cut.layers, cut.pixel_scales_arcsec, ()), self.survey)

    def mine(self) -> list[int]:
        """Catalogue files that this run reads: every Nth of many, or all where there are fewer than parts."""
        number, of = self.part or (1, 1)
        every = range(len(self.files))
        return list(every[number - 1 :: of]) if len(self.files) >= of else list(every)

    def my_blocks(self, plans: Sequence[Plan]) -> list[Block]:
        """Blocks that this run makes."""
        found = [block for plan in plans for block in blocks_of(plan, self.window.rows_at_once)]
        number, of = self.part or (1, 1)
        return found if len(self.files) >= of else found[number - 1 :: of]


def prepared(
    frozen: str,
    tables: list[str],
    out: str,
    root: str,
    *,
    survey: Survey | str | None,
    criteria: str,
    max_empty: float,
    wanted: tuple[int, str | None],
    lenses: list[str],
    manifests: list[str],
    nulls: list[str],
    is_hats: bool,
    part: tuple[int, int] | None,
    machine: dict[str, Any],
    device: str,
    key: str | Path | None,
) -> Search:
    """A search made ready: everything that can be refused before a table is read through is refused here.

    Parameters are those of `searching.search`; `wanted` is keep and threshold, `machine` what a CoaddSource takes of
    the machine.
    """
    from lensctl.frozen.proof.checks import proven_with_thresholds
    from lensctl.learning.networks.checkpoint import fold_of
    from lensctl.learning.networks.scorer import refuse_other_cutouts

    files = sweeps.catalog_files(tables)
    model, points = proven_with_thresholds(local_folder(frozen, "a model must be on"), device=device, key=key)
    chains = tuple(filter(None, map(chain_at, files)))
    of = refuse_other_cutouts(model, chains, Origin((), (), ()), survey or model.card.survey)
    chosen = chosen_criteria(of, criteria, files[0])
    keep, threshold = wanted
    limit = None if threshold is None else limit_of(threshold, points)
    size = max(of.cutout_size_px, model.card.crop)
    source = CoaddSource(root, size, of, max_empty=max_empty, **machine)
    opened = source.open()
    opened.refuse_empty()
    origin = opened.origin()
    known, of_lenses = read_known(lenses, of) if lenses else (None, ())
    ids, of_manifests = _ids(manifests)
    parameters = {"root": opened.name, "preset": criteria, **chosen.as_parameters(), "max_empty": max_empty}
    parameters |= {"keep": keep if threshold is None else None, "threshold": threshold, "hats": is_hats}
    training = Training(of, fold_of(model.card), ids)
    null, of_nulls, of_draws = None, tuple[Input, ...](), tuple[Chain, ...]()
    if nulls:
        null, of_nulls, of_draws = read_null(
            nulls,
            model_digest=model.digest,
            training=training,
            lenses=known,
            criteria=dict(chosen.expressions),
            columns=sweeps.columns_of(files[0], of),
        )
    of_model = step_input("model", frozen, model.digest, model.chain)
    of_root = (origin[0],) if origin else ()
    inputs = (sweeps.stamped_input(files), of_model, *of_root, *of_lenses, *of_manifests, *of_nulls)
    begun = Step("search", parameters, inputs, survey=of)
    before = (*((origin[1],) if origin else ()), *of_draws, model.chain)
    return Search(
        out,
        files,
        model,
        points,
        of,
        chosen,
        source,
        begun,
        before,
        Wanted(keep, limit),
        training,
        known,
        null,
        is_hats,
        part,
    )


def chosen_criteria(survey: Survey, preset: str, first: str) -> Criteria:
    """The criteria of a preset of the survey, or none; as far as the columns of the first file allow."""
    if preset == NO_CRITERIA:
        return Criteria(survey, {}, 0.0)
    if preset not in survey.criteria:
        known = (*survey.criteria, NO_CRITERIA)
        raise InputError(f"no criteria '{preset}'{nearest(preset, known)}", f"use {' or '.join(known)}")
    chosen = criteria_of(survey, preset, exclude_arcsec=0.0)
    return chosen.on(sweeps.columns_of(first, survey)) if survey.columns else chosen


def limit_of(name: str, points: Sequence[dict[str, Any]]) -> float:
    """The logit of a frozen threshold."""
    by_name = {str(point["name"]): point for point in points}
    if name not in by_name:
        raise InputError(f"the model has no threshold '{name}'{nearest(name, by_name)}", f"use {', '.join(by_name)}")
    if by_name[name]["logit"] is None:
        raise InputError(f"threshold {name} is {by_name[name]['text']}", "use another, or --keep")
    return float(by_name[name]["logit"])


def _ids(paths: list[str]) -> tuple[dict[str, str], tuple[Input, ...]]:
    """Split by id of the rows of some manifests, and these as inputs."""
    ids: dict[str, str] = {}
    inputs = []
    for path in paths:
        found, manifest = read_ids(path)
        ids.update(found)
        inputs.append(step_input("manifest", path, digests.of_table(manifest), chain_of(manifest, path)))
    return ids, tuple(inputs)
