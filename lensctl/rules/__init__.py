"""Definitions and rules: columns, strata, split, sampling order, cutout quality, checks, errors."""
