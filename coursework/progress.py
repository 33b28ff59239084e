"""What a training shows while it runs: curves in a notebook, lines in a terminal."""

from __future__ import annotations

import html
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pandas as pd

from coursework.evaluation import training_table
from coursework.figures import plot_training_history
from coursework.session import HEADLESS_VARIABLE, headless
from coursework.text import format_duration


class TrainingView:
    """What `TrainingMonitor` shows of a training.

    In a notebook, a line shows the progress and the time left, and curves grow with every epoch; at the end, the curves
    and a table remain. A headless kernel shows only these two, and prints a line per epoch to the terminal. Outside of
    notebooks, only the lines are printed.
    """

    SECONDS_BETWEEN_UPDATES = 0.25

    def __init__(self, name: str, epochs: int):
        shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
        self.in_notebook = getattr(shell, "kernel", None) is not None
        self.live = self.in_notebook and not headless()
        self.name, self.epochs = name, epochs
        # The standard output of a kernel's process is the terminal that started it.
        self.stream = sys.__stdout__ if self.in_notebook and headless() else None
        self.silent = self.in_notebook and os.environ.get(HEADLESS_VARIABLE) == "silent"
        self.history: list[dict[str, float]] = []
        self.dots, self.best = 0, 0.0
        self.trained, self.began, self.updated = 0, time.perf_counter(), 0.0
        if self.live:
            from IPython.display import HTML, display

            self.line = display(self._line(0.0), display_id=True)
            self.curves = display(HTML(""), display_id=True)

    def say(self, text: str, end: str = "\n") -> None:
        """Print a sentence; in a notebook, below the curves."""
        if not self.silent:
            with suppress(OSError):  # a closed terminal must not stop the training
                print(text, end=end, flush=True, file=self.stream)

    def begin(self, epoch: int) -> None:
        self.dots = 0
        if not self.live:
            self.say(f"epoch {epoch:{len(str(self.epochs))}d}/{self.epochs} ", end="")

    def progress(self, fraction: float) -> None:
        """Show the fraction of the epoch's images that is trained."""
        if not self.live:
            self.say("." * (int(10 * fraction) - self.dots), end="")
            self.dots = int(10 * fraction)
        elif time.perf_counter() - self.updated > self.SECONDS_BETWEEN_UPDATES:
            self.line.update(self._line(fraction))
            self.updated = time.perf_counter()

    def end(self, row: Mapping[str, float], restored: bool = False) -> None:
        """Show the result of an epoch."""
        self.history.append(row)
        self.trained += not restored
        improved = len(self.history) == 1 or row["val_f1"] > self.best
        self.best = row["val_f1"] if improved else self.best
        if self.live and not restored:
            self.line.update(self._line(0.0))
            self.curves.update(plot_training_history(self._table(), self.name))
        elif not self.live:
            self.say("." * (10 - self.dots) + _epoch_line(row) + (" *" if improved else ""))

    def finish(self) -> None:
        """Leave one figure and one table."""
        if not self.in_notebook:
            return
        from IPython.display import display

        results = plot_training_history(self._table(), self.name), training_table(self._table(), self.name)
        if self.live:
            for handle, result in zip((self.line, self.curves), results, strict=True):
                handle.update(result)
        else:
            display(*results)

    def _table(self) -> pd.DataFrame:
        return pd.DataFrame(self.history, index=pd.RangeIndex(1, len(self.history) + 1, name="epoch"))

    def _line(self, fraction: float) -> Any:
        """The line as HTML: progress, elapsed and remaining time, and the best score so far."""
        from IPython.display import HTML

        done, total = len(self.history) + fraction, self.epochs
        parts = [f"{self.name}: epoch {min(int(done) + 1, total)} of {total}"]
        elapsed, trained = time.perf_counter() - self.began, self.trained + fraction
        if self.trained or elapsed > 3:  # the first steps take longest
            left = elapsed / trained * (total - done)
            remaining = f"about {format_duration(left)}" if left > 0 else "nothing"
            parts.append(f"{format_duration(elapsed)} so far, {remaining} left")
        if self.history:
            parts.append(f"validation F1 {self.history[-1]['val_f1']:.4f}, the best {self.best:.4f}")
        label = f"{self.name}: finished fraction of the training"
        bar = f'<progress max="1" value="{done / total:.3f}" aria-label="{html.escape(label)}"></progress>'
        return HTML(f"{bar} {html.escape(' · '.join(parts))}")


def _epoch_line(row: Mapping[str, float]) -> str:
    return (
        f" loss {row['loss']:.4f}  F1 {row['f1']:.4f}  |  validation loss {row['val_loss']:.4f}  "
        f"F1 {row['val_f1']:.4f}  |  {row['seconds']:.0f} s"
    )
