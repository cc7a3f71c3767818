"""Surveys that are not ls-dr10: in one band, and in others than g, r and z."""

from __future__ import annotations

import dataclasses

from lensctl.rules.survey import LS_DR10

ONE_BAND = dataclasses.replace(
    LS_DR10,
    name="one-band",
    bands=("r",),
    detection_band="r",
    depth_band="r",
    picture_bands=("r", "r", "r"),
    colours=(("r", "r"), ("r", "r")),
    criteria={"plan": {"nobs_r": "nobs_r >= 1"}},
    strata={"nobs_r_bin": ("1-2", "3-5", "6-10", "11+")},
    confusers={"bright": "flux_r >= 5"},
    imaging={},
)

INFRARED = dataclasses.replace(
    LS_DR10,
    name="infrared",
    bands=("VIS", "Y", "J", "H"),
    detection_band="VIS",
    depth_band="H",
    picture_bands=("H", "Y", "VIS"),
    colours=(("VIS", "Y"), ("Y", "H")),
    pixel_scale_arcsec=0.1,
    cutout_size_px=150,
    criteria={"plan": {"type": "type in ('SER', 'DEV')", "maskbits": "maskbits == 0", "nobs_H": "nobs_H >= 3"}},
    strata={"nobs_H_bin": ("3-5", "6-10", "11+"), "type": ("SER", "DEV")},
    confusers={"bright": "flux_VIS >= 5", "red": "VIS_minus_Y >= 2"},
    layer="",
    northern_layer="",
    mask_bits={},
    split_fractions={"train": 0.8, "val": 0.1, "test": 0.1},
    imaging={},
)

WIDE = dataclasses.replace(
    LS_DR10,
    name="wide",
    bands=("VIS", "Y", "J", "H"),
    detection_band="VIS",
    depth_band="VIS",
    picture_bands=("J", "Y", "VIS"),
    colours=(("VIS", "Y"), ("Y", "H")),
    pixel_scale_arcsec=0.1,
    cutout_size_px=96,
    criteria={"plan": {"nobs_VIS": "nobs_VIS >= 1"}},
    strata={"nobs_VIS_bin": ("3-5", "6-10", "11+"), "type": ("SER", "DEV")},
    confusers={"spiral": "sersic < 1.5", "bright": "flux_VIS >= 5"},
    layer="",
    northern_layer="",
    mask_bits={},
    exclude_arcsec=5.0,
    split_fractions={"train": 0.6, "val": 0.2, "test": 0.2},
    split_seed=7,
    imaging={},
)
