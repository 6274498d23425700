"""Measurements on a CUDA device. One command takes all of them: ``python -m benchmarks.gpu.first_light --out DIR``."""
