"""Spherical geometry, WCS, light profiles, lensing, PSF and colour images."""
