"""The README.md of a frozen model, as a Hugging Face model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lensctl.rules.survey import BUILT_IN, LS_DR10
from lensctl.rules.survey_file import survey_of_text

MOCK = (
    "> **This model was trained and evaluated on a mock survey.** It shows that the pipeline works, and has learned\n"
    "> nothing about the sky: do not use it for a lens search.\n"
)

HUB_LICENCES = {
    *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "gpl-2.0", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "mpl-2.0"),
    *("cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-4.0"),
}
"""Usual licences by the names that the Hugging Face Hub knows, those of SPDX in small letters
(huggingface.co/docs/hub/repositories-licenses)."""

ERRORS = {
    "ECE, bins of equal width": "ece_equal_width",
    "ECE, bins of equal mass": "ece_equal_mass",
    "ECE where the lenses are": "ece_positive",
}

NORMALISED = {
    "bands": "by the mean and standard deviation of each band over the training set",
    "asinh": "by asinh, in units of their own noise",
    "annulus": "by the median and noise of an outer annulus",
}
"""Description of each kind of normalisation."""


def name(model: Mapping[str, Any], digest: str) -> str:
    """Name of a model: its architecture and the first twelve digits of the digest of its weights."""
    return f"{model['arch']}-{digest.removeprefix('sha256:')[:12]}"


def text(
    model: Mapping[str, Any],
    digest: str,
    metrics: Mapping[str, Any],
    thresholds: Sequence[Mapping[str, Any]],
    allowed: Mapping[str, Any] | None,
    size: int,
    licence: str = "",
) -> str:
    """The model card.

    Parameters
    ----------
    model : mapping
        The `model` block of frozen.json.
    digest : str
        Of the weights.
    metrics : mapping
        metrics.json of the evaluation.
    thresholds : sequence of mappings
        name, logit, p and counts on validation.
    allowed : mapping, optional
        reason and gates, if failed gates were waived.
    size : int
        Side in pixels of the cutouts that model.pt2 takes.
    licence : str
        SPDX identifier, if the folder has CITATION.cff and LICENSE.
    """
    headline = metrics["headline"]
    mock = MOCK + "\n" if metrics["mock"] else ""
    failed = _allowed(allowed) + "\n" if allowed else ""
    members = int(model["members"])
    bands = _listed(model["bands"])
    program = "model.pt2" if members == 1 else "member-0/model.pt2"
    average = "" if members == 1 else f"\nAn ensemble of {members}: the logit is the mean of the members' logits.\n"
    return f"""---
{_front_matter(model, digest, metrics, licence)}---

# Strong-lens finder {name(model, digest)}

{mock}{failed}A {model["arch"]} that returns one logit per galaxy cutout: how lens-like it looks in {bands} of
{_survey(model)}. p is the logistic function of the logit.
{average}
## Input

Cutouts in nanomaggies, float32, shape (N, {size}, {size}, {len(model["bands"])}), bands {", ".join(model["bands"])}, \
{model["pixel_scale_arcsec"]:g} arcsec per pixel, the galaxy in the middle.
The model crops to the central {model["crop"]} pixels and normalises them
{NORMALISED[model["normalisation"]["kind"]]}.

## Use

```sh
lensctl verify FOLDER
lensctl score FOLDER manifest.parquet scores.parquet
```

If there is a `model.sig`, `lensctl verify FOLDER --key PUB` also verifies the signature.

`model.pt2` is the same network for use without lensctl. Opening it can run code that its maker put there: do so only
once `lensctl verify FOLDER --key PUB` has passed. `lensctl` itself takes the weights from `model.safetensors`.

```python
import torch

finder = torch.export.load("{program}").module()
logit = finder(cutouts)  # (N, {size}, {size}, {len(model["bands"])}) float32 in nanomaggies
```

## Performance

On held-out sky (split `test`), with 95% confidence intervals; * marks metrics that rest on fewer than ten events, or on
fewer than ten others. An excess ECE is the error above what a perfectly calibrated model would show.

| metric | value | interval | n |
|---|---|---|---|
{_metric_table(headline)}

Level mvp: {_verdict(metrics, "mvp")}. Level publication: {_verdict(metrics, "publication")}. A level is reached or
missed where the intervals say so, and not told where they do not.

## Thresholds

Chosen on validation. A galaxy is a candidate where its logit is at least the threshold. The last column is the false
positive rate that the threshold may really have. A rate at which less than one false positive is expected on validation
has no threshold.

| threshold | logit | p | lenses found on validation | false positives on validation | FPR, 95% |
|---|---|---|---|---|---|
{_thresholds(thresholds)}

## Limits

The prevalence of lenses in training is not that of the sky, so p is not the probability that a galaxy is a lens.
Positives are candidates from earlier searches, so recall is recall of similar lenses. Details of this model are in
`metrics.json`, `frozen.json` and `provenance.json`.
{_credit(licence)}"""


def _survey(model: Mapping[str, Any]) -> str:
    """What the survey is called in a sentence."""
    name = survey_of_text(model.get("survey", LS_DR10.name), "frozen.json").name
    return "the DESI Legacy Imaging Surveys" if name in BUILT_IN else f"survey {name}"


def _listed(bands: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(bands[:-1]), bands[-1])))


def _credit(licence: str) -> str:
    if not licence:
        return ""
    return f"""
## Citation and licence

Cite it as [CITATION.cff](CITATION.cff) says. It is under the licence {licence}, whose text is in [LICENSE](LICENSE).
"""


def _licence(spdx: str) -> dict[str, str]:
    """The licence in the words of the Hub, which refuses identifiers that are not its own."""
    if not spdx:
        return {}
    known = spdx.lower().removesuffix("-only").removesuffix("-or-later")
    if known in HUB_LICENCES:
        return {"license": known}
    return {"license": "other", "license_name": known, "license_link": "LICENSE"}


def _front_matter(model: Mapping[str, Any], digest: str, metrics: Mapping[str, Any], licence: str) -> str:
    import yaml

    headline = metrics["headline"]
    results = [
        {"type": kind, "name": name, "value": headline[key]["value"]}
        for kind, name, key in (
            ("recall", "tier-A recall at p = 0.5", "tier_a_recall"),
            ("roc_auc", "tier-A AUC", "tier_a_auc"),
            ("roc_auc", "AUC", "test_auc"),
            ("ece", "ECE, bins of equal mass", "ece_equal_mass"),
        )
        if headline[key]["value"] is not None
    ]
    survey = survey_of_text(model.get("survey", LS_DR10.name), "frozen.json").name
    kind_of_data = "legacy-survey-cutouts" if survey in BUILT_IN else f"{survey}-cutouts"
    dataset = {"type": kind_of_data, "name": f"manifest {metrics['manifest_digest']}", "split": "test"}
    values = {
        **_licence(licence),
        "library_name": "pytorch",
        "pipeline_tag": "image-classification",
        "tags": ["astronomy", "strong-gravitational-lensing", "lensctl", *(["mock-data"] if metrics["mock"] else [])],
        "model-index": [
            {
                "name": name(model, digest),
                "results": [{"task": {"type": "image-classification"}, "dataset": dataset, "metrics": results}],
            }
        ],
    }
    return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def _metric_table(headline: Mapping[str, Any]) -> str:
    rows = [
        ("tier-A recall at p = 0.5", headline["tier_a_recall"]),
        ("tier-A AUC", headline["tier_a_auc"]),
        ("AUC, all lenses", headline["test_auc"]),
        ("false positive rate at p = 0.5", headline["fpr"]),
        *((f"false positive rate, {name}", rate) for name, rate in headline["fpr_by_category"].items()),
        *(_error(name, headline[key]) for name, key in ERRORS.items()),
    ]
    return "\n".join(_metric_row(name, metric) for name, metric in rows)


def _error(name: str, metric: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """A calibration error's excess over its floor; evaluations of 0.1.0 have none."""
    return (f"excess {name}", metric["excess"]) if metric.get("excess") else (name, metric)


def _metric_row(name: str, metric: Mapping[str, Any]) -> str:
    if metric.get("text"):
        return f"| {name} | {metric['text']} | {_interval(metric)} | {metric['n']:,} |"
    value = "–" if metric["value"] is None else f"{metric['value']:.4f}{'*' if metric['few'] else ''}"
    return f"| {name} | {value} | {_interval(metric)} | {metric['n']:,} |"


def _interval(metric: Mapping[str, Any]) -> str:
    if metric["low"] is None or metric["high"] is None:
        return str(metric.get("why") or "–")
    return f"{metric['low']:.4f} to {metric['high']:.4f}"


def _thresholds(thresholds: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(_threshold(threshold) for threshold in thresholds)


def _threshold(t: Mapping[str, Any]) -> str:
    name = t["name"].replace("=", " = ").replace("fpr", "FPR")
    if t["logit"] is None:
        return f"| {name} | – | – | – | – | {t['text']} |"
    low, high = t.get("fpr_low"), t.get("fpr_high")
    interval = "" if low is None or high is None else f"{low:.5f} to {high:.5f}"
    rate = "; ".join(filter(None, (t.get("text"), interval))) or "–"
    counts = f"{t['found']:,} of {t['lenses']:,} | {t['false']:,} of {t['others']:,}"
    return f"| {name} | {t['logit']:.4f} | {t['p']:.4f} | {counts} | {rate} |"


def _verdict(metrics: Mapping[str, Any], level: str) -> str:
    """The word of a level; evaluations of 0.1.0 said only whether its values met the limits."""
    judged = metrics["levels"][level]
    if "verdict" in judged:
        return str(judged["verdict"])
    return "its values meet the limits" if judged["passed"] else "its values do not meet the limits"


def _allowed(allowed: Mapping[str, Any]) -> str:
    listed = "".join(f"\n> - {problem}" for problem in allowed["gates"])
    return f"> **Frozen although gates did not pass.** Reason given: {allowed['reason']}\n>{listed}\n"
