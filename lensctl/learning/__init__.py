"""Where pixels become scores: networks, what they are fed, what is kept of them. The only layer with torch."""
