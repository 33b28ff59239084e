import random
import subprocess
import sys

import keras
import numpy as np
import pytest

from coursework import session


def test_an_invalid_seed_or_number_of_threads_is_rejected():
    for seed in (-1, 2**32, "1"):
        with pytest.raises(ValueError, match=f"seed={seed!r}: expected an integer from 0 to 4294967295"):
            session.start(seed)
    with pytest.raises(ValueError, match="threads=0: expected an integer at least 1"):
        session.start(0, threads=0)


def random_numbers(seed):
    session.start(seed)
    return random.random(), np.random.rand(), float(keras.random.normal(()))


def test_the_seed_determines_the_random_numbers_of_python_numpy_and_keras():
    first, again, other = random_numbers(7), random_numbers(7), random_numbers(8)
    assert first == again
    assert not set(first) & set(other)


def test_tensorflow_loads_trains_and_predicts_without_a_log_line():
    code = (
        "from coursework import models, session; session.start(0)\n"
        "import keras, numpy as np\n"
        "for _ in range(6):  # from the fifth model on, TensorFlow warns of retracing\n"
        "    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])\n"
        "    model.compile('adam', 'mse')\n"
        "    model.fit(np.zeros((8, 4)), np.zeros((8, 2)), verbose=0)\n"
        "    models.predict_probabilities(model, np.zeros((8, 4)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == ("", "")
