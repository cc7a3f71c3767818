"""How each output came about: steps, digests, the environment."""
