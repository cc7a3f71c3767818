"""Running commands on an EMR cluster: requests, step records, and verification of outputs."""
