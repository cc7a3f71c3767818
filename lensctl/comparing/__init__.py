"""Two sets of galaxies compared: matched pairs, components of embeddings, injections beside real lenses."""
