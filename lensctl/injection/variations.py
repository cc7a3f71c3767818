"""Controls, which take one thing away from an injection, and variations, which change one assumption."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from lensctl.injection.drawing import Source
from lensctl.rules.config import nearest
from lensctl.rules.errors import InputError

CONTROLS = {
    "null": "nothing is added: scores equal those of the hosts to the bit",
    "noise": "the noise of the arcs without the arcs",
    "unlensed": "the same flux and colour as one galaxy at the Einstein radius",
    "radial": "the arcs turned by a quarter about their centre of light",
    "axisymmetric": "the radial profile of the arcs as a ring",
    "grey": "the arcs in the colours of the host",
    "wrong-host": "arcs around galaxies that are no early types: with hosts of other categories",
    "swapped": "Einstein radius and source of the next host in MD5 order",
}


@dataclass(frozen=True)
class Variation:
    """What differs from the standard injection: values in place of those given, factors, and shifts."""

    psf_beta: float | None = None
    psfsize_factor: float = 1.0
    gain_factor: float = 1.0
    noise: str | None = None
    colour_shift: float = 0.0
    r_half_factor: float = 1.0
    q_of_host: bool = True

    def applied(self, source: Source) -> Source:
        """The source with colours and sizes changed."""
        colours = source.colours[0] + self.colour_shift, source.colours[1] + self.colour_shift
        f = self.r_half_factor
        groups = tuple(
            tuple(dataclasses.replace(p, x=p.x * f, y=p.y * f, r_half=p.r_half * f) for p in group)
            for group in source.groups
        )
        return dataclasses.replace(source, colours=colours, groups=groups)


STANDARD = Variation()
VARIATIONS = {
    "psf-beta-2.2": Variation(psf_beta=2.2),
    "psf-beta-3.5": Variation(psf_beta=3.5),
    "psfsize+5": Variation(psfsize_factor=1.05),
    "psfsize-5": Variation(psfsize_factor=0.95),
    "gain*1.5": Variation(gain_factor=1.5),
    "gain/1.5": Variation(gain_factor=1 / 1.5),
    "no-noise": Variation(noise="none"),
    "colour+0.1": Variation(colour_shift=0.1),
    "colour-0.1": Variation(colour_shift=-0.1),
    "re+20": Variation(r_half_factor=1.2),
    "re-20": Variation(r_half_factor=0.8),
    "q-free": Variation(q_of_host=False),
}


def refuse_unknown(control: str | None, vary: str | None) -> None:
    """Raise InputError for a control or a variation that does not exist."""
    for word, known, what in ((control, CONTROLS, "control"), (vary, VARIATIONS, "variation")):
        if word is not None and word not in known:
            raise InputError(f"no {what} '{word}'{nearest(word, known)}", f"use {', '.join(known)}")
