"""The same commands on a cluster: what is asked of EMR, what a step leaves behind, and how that is proved."""
