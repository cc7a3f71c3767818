"""Geometry on the sky, WCS, light profiles, lensing, PSF and colour pictures."""
