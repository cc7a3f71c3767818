"""Speed and memory, beside the peer in the same run: `make bench`, or `python -m tests.benchmarks NAME`."""
