"""Where values come in and go out."""
