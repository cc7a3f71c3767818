"""Cutouts in Zarr stores and .npz files."""
