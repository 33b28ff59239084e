"""Benchmarks: accuracy, speed, memory, robustness, scaling and the PDF export."""
