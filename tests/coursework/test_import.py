import subprocess
import sys

import utilities
from coursework import files, models, run_record, session


def run(code, cwd=None):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=cwd)


def test_utilities_and_the_pipeline_are_found_from_any_folder(tmp_path):
    code = "import utilities, pipeline, notebook_pdf.exporter; print(utilities.ROOT.name)"
    assert run(code, cwd=tmp_path).stderr == ""


def test_importing_utilities_is_silent_and_loads_no_tensorflow():
    result = run("import sys, utilities; assert not {'tensorflow', 'keras', 'matplotlib.pyplot'} & set(sys.modules)")
    assert (result.stdout, result.stderr) == ("", "")


def test_tensorflow_loads_and_trains_without_a_log_line():
    result = run(
        "import utilities; session.start(0)\n"
        "import keras, numpy as np\n"
        "model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])\n"
        "model.compile('adam', 'mse')\n"
        "model.fit(np.zeros((8, 4)), np.zeros((8, 2)), verbose=0)\n"
        "for _ in range(8):\n"
        "    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])\n"
        "    models.predict_probabilities(model, np.zeros((8, 4)))"
    )
    assert (result.stdout, result.stderr) == ("", "")


def test_the_peak_memory_is_of_this_process_and_not_of_the_one_that_started_it():
    ballast = bytearray(b"x") * 2**29
    own = "import utilities; ballast = bytearray(b'x') * 2**28; print(run_record.peak_memory())"
    assert 0.25 < float(run(own).stdout) < 0.45 < 2**-30 * len(ballast) <= run_record.peak_memory()
