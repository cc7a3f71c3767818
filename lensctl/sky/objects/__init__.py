"""What is in the mock sky: galaxies and stars, the parts they are drawn from, and their fluxes in any band."""
