"""Tables for a fit, as if scored by a frozen toy."""

from __future__ import annotations

import pytest

from tests.toys.measured_injections import Toy, fitted


@pytest.fixture(scope="session")
def toy(model):
    return Toy(model, hosts=600)


@pytest.fixture(scope="session")
def tables(toy, tmp_path_factory):
    """All tables of a fit."""
    folder = tmp_path_factory.mktemp("fit")
    null, noise = (toy.injection_columns(control=word) for word in ("null", "noise"))
    null["logit"] = toy.logit_host[toy.made.host]
    noise["logit"] = null["logit"] + 0.01
    brighter = toy.injection_columns(vary="psf-beta-2.2")
    brighter["logit"] = toy.logit + 0.4
    toy.write(
        folder,
        null=toy.stamped(null),
        noise=toy.stamped(noise),
        brighter=toy.stamped(brighter),
        real=toy.stamped(toy.real_columns()),
    )
    return folder


@pytest.fixture(scope="session")
def whole(tables, model, tmp_path_factory):
    """A folder with everything, and its receipt."""
    out = tmp_path_factory.mktemp("whole") / "selection"
    named = {name: tables / f"{name}.parquet" for name in ("null", "noise", "brighter", "real")}
    receipt = fitted(
        tables, out, model, control=[named["null"], named["noise"]], vary=named["brighter"], real=named["real"]
    )
    return out, receipt
