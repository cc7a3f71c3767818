"""`lensctl selection fit`: p_det of a frozen model from scored injections, with what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lensctl.io.paths import Paths, listed
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Step, extend, step_input
from lensctl.io.reporter import SILENT, Receipt, Reporter
from lensctl.io.storage.atomic import refuse_existing
from lensctl.io.storage.resumable import whole_folder
from lensctl.io.tables.files import read_table
from lensctl.rules.errors import InputError
from lensctl.selection.fitting import folder, held_out_sky
from lensctl.selection.fitting.closure import real_lenses
from lensctl.selection.fitting.failure_modes import read_population
from lensctl.selection.fitting.frozen_model import FrozenModel, read_frozen
from lensctl.selection.fitting.measured import Given, Measured, measured
from lensctl.selection.fitting.paired import paired
from lensctl.selection.fitting.parent import parent_factor
from lensctl.selection.fitting.scored import OF_HOSTS, OF_INJECTIONS, OF_REAL, Scored, joined, read_scored
from lensctl.selection.p_det.axes import physical_axes
from lensctl.selection.p_det.detection import ROUNDS, SEED
from lensctl.selection.report.pictures import Pictured, pictured

FEWEST_ROUNDS = 100


def fit(
    tables: Paths,
    out_dir: str | Path,
    *,
    hosts: str | Path,
    frozen: str | Path,
    key: str | Path | None = None,
    real: str | Path | None = None,
    control: Paths = (),
    control_hosts: str | Path | None = None,
    vary: Paths = (),
    positives: str | Path | None = None,
    manifest: str | Path | None = None,
    cutouts: str | Path | None = None,
    population: str | Path | None = None,
    threshold: Sequence[str] = (),
    exploratory: bool = False,
    rounds: int = ROUNDS,
    seed: int = SEED,
    overwrite: bool = False,
    report: Reporter = SILENT,
) -> Receipt:
    """Fit p_det to scored injections, and compare it with controls, variations and real lenses.

    Parameters
    ----------
    tables : path or paths
        Injections, made by `selection measure`, or by `inject`, `score` and `selection observe`.
    out_dir : path
        Folder to create.
    hosts : path
        Scores of the hosts' own cutouts, without an arc.
    frozen, key : path
        The model, and the public key (PEM) of whom it must be signed by.
    real : path, optional
        Observed scores with real lenses: those of tier A and B of the test split are for closure.
    control, vary : path or paths
        Injections of a control, and of a variation, a table each.
    control_hosts : path, optional
        Scores of the cutouts of other hosts, without an arc: needed with the control wrong-host.
    positives : path, optional
        Lenses with catalogue columns, for the share of them that the pool's criteria let through.
    manifest : path, optional
        The one that the model was trained on: its galaxies of train and val are refused as hosts by id too.
    cutouts : path, optional
        A store of injections of the tables, by `inject`, for pictures in the report.
    population : path, optional
        Lenses as nature has them, as for `selection apply`: failure modes are sought in it, instead of in the design.
    threshold : sequence of str
        Names of frozen thresholds; all that have a value if none is given.
    exploratory : bool
        Allow `logit=X` as a threshold; marks every output.
    rounds, seed : int
        Draws of the coefficients, and of what they are a function.

    Returns
    -------
    Receipt
        With rows, hosts, rows lost, and thresholds: name, share detected, ceiling, design effect.

    Raises
    ------
    InputError
        A model that does not verify, or that did not score the tables; hosts that are not of its test split, with their
        whole cutout; cutouts of other injections; losses that do not add up; too few detected or missed; an
        existing folder.
    """
    if rounds < FEWEST_ROUNDS:
        raise InputError(f"--rounds {rounds} are too few for an interval", f"give {FEWEST_ROUNDS} or more")
    refuse_existing(out_dir, overwrite)
    model = read_frozen(frozen, key)
    points = model.chosen(threshold, exploratory=exploratory)
    parts = [read_scored(path, "injections", model, OF_INJECTIONS) for path in listed(tables)]
    if not parts:
        raise InputError("no table of injections", "give one or more of `lensctl selection measure`")
    of_hosts = read_scored(str(hosts), "hosts", model, OF_HOSTS)
    others = None if control_hosts is None else read_scored(str(control_hosts), "control hosts", model, OF_HOSTS)
    for each in (of_hosts,) if others is None else (of_hosts, others):
        held_out_sky.refuse_known_sky(each, model)
        if manifest is not None:
            held_out_sky.refuse_taught(each, str(manifest), model)
    axes = physical_axes(model.survey)
    injections = joined(parts, of_hosts, axes)
    controls = [read_scored(path, "control", model, OF_INJECTIONS) for path in listed(control)]
    variations = [read_scored(path, "variation", model, OF_INJECTIONS) for path in listed(vary)]
    lenses = None if real is None else real_lenses(read_scored(str(real), "real", model, OF_REAL), model)
    if lenses is not None:
        report.say(f"{lenses.where}: {lenses.table.num_rows:,} lenses of tier A and B of the test split have a score")
    lost_in = None if population is None else read_population(str(population), axes, model.survey)
    shown = None if cutouts is None else pictured(str(cutouts), injections.table, model.survey)
    given = Given(
        model,
        points,
        injections,
        of_hosts,
        [paired(part, injections, "control", others) for part in controls],
        [paired(part, injections, "vary") for part in variations],
        lenses,
        [] if positives is None else parent_factor(str(positives), model.chain, model.survey),
        exploratory,
        lost_in,
    )
    sources = [*parts, of_hosts, *controls, *variations, *(each for each in (others, lenses) if each is not None)]
    step = _step(model, sources, given, positives, manifest, shown, {"rounds": rounds, "seed": seed})
    chains = [source.chain for source in sources]
    chains += [lost_in.chain] if lost_in is not None else []
    chains += [shown.store.chain] if shown is not None else []
    made = measured(given, extend(step, *chains, model.chain), rounds=rounds, seed=seed)
    with whole_folder(out_dir, "selection fit", overwrite=overwrite) as place:
        folder.write(made, place, shown)
    _say(made, report)
    return _receipt(made, str(out_dir))


def _step(
    model: FrozenModel,
    sources: Sequence[Scored],
    given: Given,
    positives: str | Path | None,
    manifest: str | Path | None,
    shown: Pictured | None,
    chosen: dict[str, int],
) -> Step:
    others = [
        step_input(role, str(path), digests.of_table(read_table(str(path))))
        for role, path in (("positives", positives), ("manifest", manifest))
        if path is not None
    ]
    others += [each.source for each in (given.population, shown) if each is not None]
    parameters = {
        **chosen,
        "thresholds": [point.name for point in given.thresholds],
        "exploratory": given.exploratory,
    }
    inputs = (model.source, *(source.source for source in sources), *others)
    return Step("selection fit", parameters, inputs, survey=model.survey)


def _say(made: Measured, report: Reporter) -> None:
    """For people: what was lost, what has no fit, and the thresholds."""
    for each in made.facts["rows"]["lost"]:
        report.say(f"{each['rows']:,} injections left out: {each['reason']}")
    for each in made.facts["left_out"]:
        report.say(f"{each['name']}: {each['why']}")
    report.table(
        "p_det by threshold",
        ("threshold", "injections", "detected", "hosts above", "box share", "ceiling", "design effect"),
        [
            (
                point["name"],
                point["fit"]["rows"],
                point["fit"]["detected"],
                point["hosts_above"],
                f"{point['box_mean']['value']:.3f}",
                f"{point['fit']['ceiling']:.3f}",
                f"{point['fit']['design_effect']:.2f}",
            )
            for point in made.facts["thresholds"]
        ],
    )
    report.say(
        "the share of the box is not a completeness: average p_det over a population by `lensctl selection apply`"
    )


def _receipt(made: Measured, out_dir: str) -> Receipt:
    facts = made.facts
    return {
        "command": "selection",
        "action": "fit",
        "output": out_dir,
        **{name: facts["rows"][name] for name in ("injections", "usable", "hosts")},
        "thresholds": [
            {
                "name": point["name"],
                "box_mean": point["box_mean"]["value"],
                "hosts_above": point["hosts_above"],
                "ceiling": point["fit"]["ceiling"],
                "design_effect": point["fit"]["design_effect"],
            }
            for point in facts["thresholds"]
        ],
        "left_out": facts["left_out"],
        "exploratory": facts["exploratory"],
        "model_digest": facts["model_digest"],
    }
