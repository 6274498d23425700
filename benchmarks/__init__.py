"""Benchmarks: nnx and its yardsticks in one run. See README.md beside this file."""
