"""Where the pixels of cutouts come from: brick coadds and the cutout service."""
