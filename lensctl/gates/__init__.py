"""Gates: what a data set or a model must hold before the next step. One module a gate; see registry.py."""
