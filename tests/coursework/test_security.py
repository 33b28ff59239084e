"""Nothing that is read is executed: checkpoints and models may be hostile."""

import os

import keras
import numpy as np
import pytest

from coursework import checkpoint, models


class Stolen:
    """Unpickled, it leaves a file."""

    def __reduce__(self):
        return os.system, ("touch stolen",)


def test_a_pickle_in_a_checkpoint_is_not_opened(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    np.savez("model.npz", about=np.array([Stolen()], dtype=object))
    assert checkpoint.restore(tmp_path / "model.npz", {}, model) == ([], None)
    assert "model.npz is damaged and not used" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["model.npz"]


def test_a_model_with_code_in_it_is_not_loaded(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: 2 * x, output_shape=(2,))])
    model.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="safe"):
        models.load_model(tmp_path / "model.keras")
