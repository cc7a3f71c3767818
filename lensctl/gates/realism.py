"""The realism gate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lensctl.comparing.realism import GATE, Limits, compared
from lensctl.comparing.realism import TABLES as COMPARED
from lensctl.frozen.selection_folder import TABLES, read_selection
from lensctl.gates.registry import gate, setting
from lensctl.rules.checks import Check
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    from lensctl.gates.inputs import Inputs


@dataclass(frozen=True)
class Settings(Limits):
    """Limits of the realism gate."""

    max_artefact_auc: float = setting(
        Limits.max_artefact_auc, "artefacts fail if the interval is above this or below 1 minus this"
    )
    max_arc_offset_px: float = setting(
        Limits.max_arc_offset_px, "injected arcs fail if the interval of their mean offset is beyond this, pixels"
    )
    max_brighter: float = setting(
        Limits.max_brighter, "injections fail if more than this share is brighter than the table says"
    )
    realistic: float = setting(Limits.realistic, "greatest AUC of arcs or embedding that is called realistic")
    usable: float = setting(Limits.usable, "arcs or embedding fail if the interval is above this")
    min_lenses: int = setting(Limits.min_lenses, "minimum number of lenses, and of those matched", least=1)
    min_matched: float = setting(Limits.min_matched, "minimum fraction of lenses with a match")
    partners: int = setting(Limits.partners, "injections per lens", least=1)
    mag: float = setting(Limits.mag, "matching tolerance of the aperture magnitude, magnitudes", least=1e-3)
    colour: float = setting(Limits.colour, "matching tolerance of both aperture colours, magnitudes", least=1e-3)
    folds: int = setting(Limits.folds, "folds of HEALPix pixels", least=2)
    seed: int = setting(Limits.seed, "seed of the classifier and of the halves")


@gate(GATE, inputs="SELECTION_DIR", settings=Settings)
def realism(inputs: Inputs, limits: Settings) -> Iterator[Check]:
    """Injections look like real lenses: a classifier cannot tell them from test lenses of the same magnitudes.

    A cross-validated classifier, that of the shortcut gate, is given the artefacts of the pixels (P1: noise, empty
    pixels, centring, sharpness), the features of the arcs (P2), and the model's embedding (P3, where there is one).
    Injections are first thinned to `host_weight`, where they have it, so that their hosts are like those of lenses.
    Artefacts fail where their AUC lies wholly outside 0.40-0.60. Arcs have no preferred direction: injected ones fail
    where their mean offset from their galaxies lies wholly beyond 1 px along either axis. An aperture cannot hold more
    light than was added: arcs within 1 arcsec fail where more than 2 % are brighter, host taken off, than their
    magnitude says. Arcs and embedding are realistic up to 0.70, usable up to 0.90; above, completeness is conditional
    on this source model, and they fail where the whole interval is above. What the classifier finds between tiers A
    and B, and between halves of the injections and of the hosts, is beside.
    """
    found = read_selection(inputs.path)
    inputs.set_digest(found.digest)
    if "real" not in found.tables:
        raise InputError(f"{found.where}: was fitted without real lenses", "fit again with --real TABLE")
    names = {name: f"{inputs.path}/{TABLES}/{name}.parquet" for name in COMPARED}
    yield from compared({name: found.table(name) for name in COMPARED}, names, inputs.survey, limits)
