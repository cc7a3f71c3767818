"""Options that `inject` and `selection measure` share: what is injected."""

from __future__ import annotations

from typing import Annotated

import typer

Hosts = Annotated[str, typer.Argument(metavar="HOSTS", help="Galaxies that could be lenses; - is stdin.")]
HostStore = Annotated[str, typer.Argument(metavar="STORE", help="Store of their cutouts, best with invvar.")]
PerHost = Annotated[int, typer.Option("--per-host", min=1, max=10_000, help="Injections of each host.")]
Control = Annotated[
    str | None,
    typer.Option(
        help="null, noise, unlensed, radial, axisymmetric, grey, wrong-host or swapped: take one thing away.",
        show_default=False,
    ),
]
Vary = Annotated[
    str | None,
    typer.Option(
        help="Change one assumption: psf-beta-2.2, psf-beta-3.5, psfsize+5, psfsize-5, gain*1.5, gain/1.5, "
        "no-noise, colour+0.1, colour-0.1, re+20, re-20 or q-free.",
        show_default=False,
    ),
]
Psf = Annotated[str, typer.Option(help="moffat, of the hosts' psfsize; planes, of the store's; or FILE.npz of images.")]
PsfBeta = Annotated[float, typer.Option("--psf-beta", help="Wings of the Moffat.")]
Noise = Annotated[
    str, typer.Option(help="Photon noise of the arcs: resampled, shared by neighbours as the store's; white; none.")
]
Gain = Annotated[
    str, typer.Option(help="measured, by invvar's slope; nominal, of the survey; or FILE.yaml, one a band.")
]
SourceModel = Annotated[str, typer.Option("--source-model", help="mixed, sersic, clumpy or stamps.")]
Stamps = Annotated[str | None, typer.Option(metavar="FILE", help="Images of sources, for stamps.", show_default=False)]
Design = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Design, as far as it differs from the default.", show_default=False),
]
Part = Annotated[
    str | None, typer.Option(metavar="K/N", help="Make only part K of N of the output.", show_default=False)
]
Finish = Annotated[bool, typer.Option("--finish", help="Close the output after all --part runs.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only count rows, bytes and hours.")]
