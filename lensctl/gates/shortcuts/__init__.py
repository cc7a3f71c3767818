"""What the shortcut gate measures in cutouts, and which galaxies it compares."""
