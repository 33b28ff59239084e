"""What a training shows outside of notebooks, in a headless kernel and in a notebook with a reader."""

import sys
import types

import pytest

from coursework import progress
from coursework.session import HEADLESS_VARIABLE

ROWS = [
    {"loss": 0.9, "f1": 0.6, "val_loss": 0.8, "val_f1": 0.7, "seconds": 61.0},
    {"loss": 0.5, "f1": 0.8, "val_loss": 0.9, "val_f1": 0.65, "seconds": 59.0},
]


def show_training(view):
    for number, row in enumerate(ROWS, start=1):
        view.begin(number)
        for fraction in (0.25, 0.5, 1.0):
            view.progress(fraction)
        view.end(row)
    view.finish()


@pytest.fixture
def notebook(monkeypatch):
    """Makes this process a notebook kernel; returns its outputs, each a list of what was shown in it."""
    import IPython
    import IPython.display

    outputs = []

    def display(*contents, display_id=None):
        outputs.extend([content] for content in contents)
        return types.SimpleNamespace(update=outputs[-1].append) if display_id else None

    monkeypatch.setattr(IPython, "get_ipython", lambda: types.SimpleNamespace(kernel=object()))
    monkeypatch.setattr(IPython.display, "display", display)
    monkeypatch.setattr(progress.TrainingView, "SECONDS_BETWEEN_UPDATES", 0.0)
    monkeypatch.delenv(HEADLESS_VARIABLE, raising=False)
    return outputs


def test_outside_of_notebooks_each_epoch_is_a_line_with_ten_dots_and_a_star_if_the_f1_is_higher(capsys):
    show_training(progress.TrainingView("A model", 12))
    first, second = capsys.readouterr().out.splitlines()
    assert first == "epoch  1/12 .......... loss 0.9000  F1 0.6000  |  validation loss 0.8000  F1 0.7000  |  61 s *"
    assert second.endswith(" s")


def test_a_closed_terminal_does_not_stop_the_training(monkeypatch):
    class Closed:
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    show_training(progress.TrainingView("A model", 2))


def test_a_silent_kernel_prints_nothing_and_shows_curves_and_table_once(notebook, monkeypatch, capfd):
    monkeypatch.setenv(HEADLESS_VARIABLE, "silent")
    show_training(progress.TrainingView("A model", 2))
    assert capfd.readouterr().out == ""
    curves, table = (output[-1] for output in notebook)
    assert curves.caption.startswith("A model: training and validation by epoch")
    assert table.data["validation macro F1"].tolist() == [0.7, 0.65]


def test_in_a_notebook_a_line_shows_progress_and_remaining_time_without_restored_epochs(notebook, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    view = progress.TrainingView("A <model>", 4)
    view.begin(1)
    view.end(ROWS[0], restored=True)
    view.begin(2)
    now[0] = 10.0
    view.progress(0.5)  # 10 s for half an epoch, so 50 s for two and a half
    line = notebook[0][-1].data
    assert '<progress max="1" value="0.375"' in line
    assert "A &lt;model&gt;: epoch 2 of 4" in line and "validation F1 0.7000, the best 0.7000" in line
    assert "10 s so far, about 50 s left" in line


def test_in_a_notebook_the_curves_grow_with_each_epoch_and_remain_with_a_table(notebook, capsys):
    show_training(progress.TrainingView("A model", 2))
    figures = notebook[1][1:-1]
    assert [len(figure.axes[0].lines[0].get_xdata()) for figure in figures] == [1, 2]
    assert capsys.readouterr().out == ""
    curves, table = (output[-1] for output in notebook)
    assert curves.caption.startswith("A model: training and validation by epoch")
    assert table.data["macro F1"].tolist() == [0.6, 0.8]
