"""The classic way of pattern-exploiting training beside petkit's, on the same work, in one process: ``python -m benchmarks``."""
