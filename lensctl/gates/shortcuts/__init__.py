"""Features and matched samples of the shortcut gate."""
