"""Measurements against the peers: `python -m benchmarks` prints one table."""
