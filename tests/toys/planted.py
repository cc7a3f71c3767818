"""Lenses by one injector and injections by a wrong one, through pixels, for `gate realism` and `gate selection`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lensctl.astro import moffat
from lensctl.injection.rendering import Renderer
from lensctl.io.provenance.steps import chain_of, stamp
from lensctl.io.tables.files import read_table, write_table
from lensctl.score import score
from lensctl.selection import fit, measure, observe
from lensctl.selection.fitting import folder as fit_folder
from tests.toys import known_networks

DESIGN = """\
theta_e_arcsec: [0.7, 2.9]
lensed_mag: [19.5, 23.5]
source_r_half_arcsec: [0.1, 0.6]
source_n: [0.5, 2.4]
clumpy_share: 0.0
"""
VISIBLE_SNR, CONFIDENT_SNR = 6.0, 15.0
"""obs_snr_g that a lens of tier B and of tier A has at least: graders see pixels, not the truth."""

HOW: dict[str, Any] = {"workers": 1, "device": "cpu", "threads": 1}


def _brighter(render: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, images, kernels: render(self, 1.5 * images, kernels)


def _off(render: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, images, kernels: render(self, np.roll(images, 2, axis=-1), kernels)


def _broader(kernels: Callable[..., Any]) -> Callable[..., Any]:
    """Kernels of Moffats whose FWHM is psfsize."""

    def of(self: Renderer, psfsize: np.ndarray, beta: float) -> Any:
        wide = [
            moffat.psfsize_arcsec(moffat.Psf(float(size), beta, 0, 0, self.scale).nea_px, self.scale)
            for size in psfsize
        ]
        return kernels(self, np.array(wide), beta)

    return of


FAULTS = ("none", "flux * 1.5", "g-r + 0.9", "psfsize as FWHM", "gain 150", "arcs 2 px off", "cutouts 2 px off")


@contextmanager
def fault(name: str, folder: Path) -> Iterator[dict[str, Any]]:
    """An injector that is wrong in one way, and the options that it is given."""
    design = DESIGN + ("colour_1: [1.15, 0.30]\ncolour_1_range: [0.4, 2.4]\n" if name == "g-r + 0.9" else "")
    (folder / "design.yaml").write_text(design)
    (folder / "gain.yaml").write_text("g: 150\nr: 150\nz: 150\n")
    options: dict[str, Any] = {"design": folder / "design.yaml"}
    if name == "gain 150":
        options["gain"] = str(folder / "gain.yaml")
    with pytest.MonkeyPatch.context() as patch:
        if name in ("flux * 1.5", "arcs 2 px off"):
            patch.setattr(Renderer, "seen", (_brighter if name == "flux * 1.5" else _off)(Renderer.seen))
        if name == "psfsize as FWHM":
            patch.setattr(Renderer, "kernels", _broader(Renderer.kernels))
        yield options


def lenses(model: Path, name: str, folder: Path, hosts: int, per_host: int, seed: int = 500) -> Path:
    """Visible arcs by a faultless injector in hosts of their own, as `fit --real` reads them."""
    made = known_networks.hosts(folder / "hosts", hosts, seed)
    with known_networks.network(name), fault("none", folder) as options:
        measure(model, made.table, made.store, folder / "m", per_host=per_host, seed=seed, **options, **HOW)
    table = read_table(str(folder / "m"))
    snr = np.asarray(table["obs_snr_g"].to_numpy())
    tier = pa.array(np.where(snr >= CONFIDENT_SNR, "A", "B").tolist())
    real = table.append_column("tier", tier).filter(pa.array(snr >= VISIBLE_SNR))
    ids = pa.array([f"lens_{id}" for id in real["galaxy_id"].to_pylist()])
    real = real.set_column(real.schema.get_field_index("galaxy_id"), "galaxy_id", ids)
    write_table(stamp(real, chain_of(table)), str(folder / "real.parquet"))
    return folder / "real.parquet"


def selection(model: Path, name: str, real: Path, wrong: str, folder: Path, hosts: int, per_host: int) -> Path:
    """A folder of `selection fit` by an injector with a fault, with real lenses."""
    made = known_networks.hosts(folder / "hosts", hosts, off_px=2 * (wrong == "cutouts 2 px off"))
    with known_networks.network(name), fault(wrong, folder) as options, pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit_folder, "figures", lambda measured, maps: ())  # most of the time, and no gate looks at them
        patch.setattr(fit_folder.page, "render", lambda contents: "")
        measure(model, made.table, made.store, folder / "m", per_host=per_host, **options, **HOW)
        score(model, made.store, folder / "s.parquet", device="cpu", threads=1)
        _with_psfsize(folder / "s.parquet", made.rows)
        observe(folder / "s.parquet", made.store, folder / "h.parquet", workers=1)
        given = {"hosts": folder / "h.parquet", "frozen": model, "threshold": ["p=0.5"], "rounds": 200}
        fit(folder / "m", folder / "selection", real=real, **given)
    return folder / "selection"


def _with_psfsize(scores: Path, hosts: pa.Table) -> None:
    """Add what the index of a store of `lensctl cutout` has of the seeing to scores of made-up hosts."""
    table = read_table(str(scores))
    made = table
    for name in ("psfsize_g", "psfsize_r", "psfsize_z"):
        made = made.append_column(name, hosts[name].combine_chunks())
    write_table(stamp(made, chain_of(table)), str(scores), overwrite=True)
