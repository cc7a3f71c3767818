"""Images of galaxies, cut from coadds or the cutout service into a store."""

from lensctl.cutout.writing import cutout

__all__ = ["cutout"]
