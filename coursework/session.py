"""The session of a notebook: seeds, threads, figures as vectors, headless or not, and how long its cells ran."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import psutil

from coursework.checks import require_integer
from coursework.versions import require_versions

HEADLESS_VARIABLE = "COURSEWORK_HEADLESS"
"""Environment variable of headless kernels, which show figures in place of widgets. A training prints to the terminal
that the kernel was started from, or not at all if the value is "silent"."""


def headless() -> bool:
    """Whether this kernel is headless, as make starts it."""
    return HEADLESS_VARIABLE in os.environ


class _CellClock:
    """Adds up the seconds in which cells run."""

    seconds, began = 0.0, None

    def start(self) -> None:
        """Start at zero within a cell, the first time at the processor time so far, most of which is imports."""
        self.seconds = time.process_time() if self.began is None else 0.0
        self.began = time.monotonic()

    def enter_cell(self, _info: Any) -> None:
        self.began = time.monotonic()

    def leave_cell(self, _result: Any) -> None:
        self.seconds += time.monotonic() - self.began


_clock = _CellClock()


def running_seconds() -> float:
    """Seconds in which cells ran since `start`, without pauses between them; outside IPython, age of the process."""
    if _clock.began is None:
        return time.time() - psutil.Process().create_time()
    return _clock.seconds + time.monotonic() - _clock.began


def start(seed: int, threads: int | None = None) -> None:
    """Prepare a notebook: load Keras quietly, seed Python, NumPy and TensorFlow, draw figures as vectors.

    Args:
        seed: from 0 to 2**32 - 1.
        threads: number of threads that TensorFlow computes with, by default one a core. The order of sums depends on
            it, so figures that machines of different sizes should share need the same number.

    Raises:
        ValueError: an argument is not an integer or is out of range.
        ImportError: a package is too old; see `versions`.
    """
    require_versions()
    require_integer("seed", seed, minimum=0, maximum=2**32 - 1)
    if threads is not None:
        require_integer("threads", threads, minimum=1)

    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None:
        _clock.start()
        shell.events.register("pre_run_cell", _clock.enter_cell)
        shell.events.register("post_run_cell", _clock.leave_cell)

    from coursework.backend import keras, tf

    if threads is not None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    keras.utils.set_random_seed(seed)
    if gpus := tf.config.list_physical_devices("GPU"):
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)  # so that several notebooks share it
        tf.config.experimental.enable_op_determinism()
    if shell is not None:
        import matplotlib_inline.backend_inline

        from coursework.figures import CaptionedFigure

        matplotlib_inline.backend_inline.set_matplotlib_formats("svg", metadata={"Date": None})
        # The formatter for all figures, as above, would precede what a figure says of itself.
        shell.display_formatter.formatters["image/svg+xml"].for_type(CaptionedFigure, CaptionedFigure.svg)
