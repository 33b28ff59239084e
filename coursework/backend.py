"""Keras and TensorFlow, imported without the lines that TensorFlow's libraries print while they load.

Some of these lines are written before TensorFlow's own log level counts, straight to the error stream of the process.
That stream is redirected for the seconds that the first import takes; Python's errors are raised as usual.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")


@contextmanager
def _error_stream_redirected() -> Iterator[None]:
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


with _error_stream_redirected():
    import keras
    import tensorflow as tf

warnings.filterwarnings("ignore", "`shuffle=True` was passed")  # `fit` gives this advice for every tf.data pipeline
tf.get_logger().setLevel("ERROR")  # it warns at length when a fifth model makes its first prediction

__all__ = ["keras", "tf"]
