"""Benchmarks: accuracy, speed, memory, robustness and the PDF export."""
