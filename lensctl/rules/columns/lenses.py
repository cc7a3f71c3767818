"""Columns of lenses made or known: injections, populations, fates in a search, the truth of a mock."""

from __future__ import annotations

from lensctl.rules.columns.column import Column

INJECTED = (
    Column("host_id", "string", "galaxy_id of the host; galaxy_id is host_id#k"),
    Column("k", "int64", "Number of the injection into this host, from 0"),
    Column("control", "string", "Control (`--control`); empty for an injection"),
    Column("vary", "string", "Assumption that was varied (`--vary`); empty for the standard"),
    Column("theta_e", "double", "Einstein radius, by area", "arcsec"),
    Column("lens_q", "double", "Axis ratio of the mass, minor over major"),
    Column("lens_phi", "double", "Angle of its major axis, from +x (west) towards +y (north)", "rad"),
    Column("gamma1", "double", "External shear along the axes"),
    Column("gamma2", "double", "External shear at 45 degrees to them"),
    Column("source_x", "double", "Position of the source, to the right (west)", "arcsec"),
    Column("source_y", "double", "Position of the source, up (north)", "arcsec"),
    Column("source_r_half", "double", "Half-light radius of the source along its major axis", "arcsec"),
    Column("source_n", "double", "Sersic index of the source"),
    Column("source_q", "double", "Axis ratio of the source, minor over major"),
    Column("source_phi", "double", "Angle of its major axis, as lens_phi", "rad"),
    Column("source_model", "string", "sersic, clumpy or stamps"),
    Column("n_images", "int64", "Number of images of the source's centre"),
    Column("psf_beta", "double", "Exponent of the Moffat that the arcs were convolved with"),
    Column("gain_{band}", "double", "Gain of the host's coadd in {band}", "electron/nanomaggy"),
    Column("source_mag_{band}", "double", "Magnitude of the unlensed source in {band}", "mag"),
    Column("lensed_mag_{band}", "double", "Magnitude of all images in {band}, before extinction", "mag"),
    Column("arc_mag_{band}", "double", "The same as observed, with extinction", "mag"),
    Column("arc_snr_{band}", "double", "Signal-to-noise of the arcs, sqrt(sum light^2 invvar), in {band}"),
    Column("arc_peak_{band}", "double", "Brightest pixel of the arcs in {band}", "nanomaggy"),
    Column("arc_contrast_{band}", "double", "The same over the host in that pixel"),
    Column("magnification", "double", "Flux of all images over that of the source, in the detection band"),
    Column("source_{bluer}_minus_{redder}", "double", "First colour of the source", "mag"),
    Column("delta_{bluer}_minus_{redder}", "double", "First colour of the arcs less that of the host", "mag"),
    Column("gain_source", "string", "Where the gain is from, band by band: measured, or nominal"),
    Column("design_digest", "string", "Digest of the design that was drawn from"),
)
POPULATION = (
    Column("weight", "double", "Number of lenses that a row stands for"),
    Column("z_lens", "double", "Redshift of the lens"),
    Column("source_z", "double", "Redshift of the source"),
    Column("sigma_km_s", "double", "Velocity dispersion of the lens", "km/s"),
    Column("sky_host_id", "string", "galaxy_id of the host whose seeing, depth and dust the lens has"),
)
DETECTED = (
    Column("p_det", "double", "Probability to be found at the threshold; null outside the support"),
    Column("p_low", "double", "Lower end of its 95 % interval"),
    Column("p_high", "double", "Upper end of its 95 % interval"),
    Column("p_sys", "double", "How far the assumptions of the injection may move p_det"),
    Column("inside", "bool", "Inside the support: like what was injected"),
    Column("follow_up", "int64", "Place in a list for follow-up: by score within bands of p_det, the bands in turn"),
)
KNOWN = (
    Column("name", "string", "Name of the lens in its catalogue"),
    Column("fate", "string", "What became of it in the search"),
    Column("in_searched_area", "bool", "In a cell of the sky with a scored galaxy"),
)
TRUTH = (
    Column("kind", "string", "Kind of object that was drawn: elliptical, ring, lens and so on"),
    Column("is_lens", "bool", "A galaxy that lenses a source"),
    Column("is_confuser", "bool", "Of a kind that may be mistaken for a lens"),
    Column("grade", "string", "Grade of a lens, by how well its arcs are seen"),
    Column("x", "double", "Place in its window's coadd, from 0 to the right", "pixel"),
    Column("y", "double", "Place in its window's coadd, from 0 up", "pixel"),
    Column("redshift", "double", "Redshift"),
    Column("r_half", "double", "Half-light radius along the major axis", "arcsec"),
    Column("n", "double", "Sersic index"),
    Column("q", "double", "Axis ratio, minor over major"),
    Column("phi", "double", "Angle of the major axis, from +x (west) towards +y (north)", "rad"),
    Column("source_flux_{band}", "double", "Flux of the unlensed source in {band}", "nanomaggy"),
    Column(
        "absorbed_flux_{band}",
        "double",
        "{band} flux of arcs that the catalogue counts to their galaxy",
        "nanomaggy",
    ),
    Column(
        "arc_peak_snr",
        "double",
        "Brightest pixel of the arcs over the sky's noise, in the band where it is highest",
    ),
    Column("arc_contrast", "double", "Brightest pixel of the arcs over the galaxy there, in the bluest band"),
)
