"""The scored rows of a uniform draw, and why some are refused."""
