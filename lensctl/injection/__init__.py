"""Injection: what is drawn, how it is rendered into real pixels, its controls, and what is measured of arcs."""
