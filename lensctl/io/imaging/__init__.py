"""Sources of cutout pixels: brick coadds and the cutout service."""
