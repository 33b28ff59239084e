import importlib
import json
import subprocess
import sys
import types

import pytest

import utilities
from coursework import files


def run(code, cwd=None):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=cwd)


@pytest.fixture(scope="module")
def fresh_import():
    """What `import utilities` prints in a new process, its seconds of processor time, and the modules it loads."""
    code = (
        "import json, sys, time; before = time.process_time(); import utilities\n"
        "seconds = time.process_time() - before\n"
        "print(json.dumps([seconds, sorted(sys.modules)]))"
    )
    result = run(code)
    *printed, report = result.stdout.splitlines()
    return printed + result.stderr.splitlines(), *json.loads(report)


def test_importing_utilities_prints_nothing(fresh_import):
    assert fresh_import[0] == []


def test_importing_utilities_takes_less_than_half_a_second(fresh_import):
    assert fresh_import[1] < 0.5


def test_importing_utilities_loads_no_large_package(fresh_import):
    assert not {"tensorflow", "keras", "matplotlib", "pandas", "sklearn", "scipy"} & set(fresh_import[2])


def test_data_submission_and_study_load_no_tensorflow():
    modules = "coursework.course_split, coursework.data, coursework.study, coursework.submission"
    run(f"import sys, {modules}; assert not {{'tensorflow', 'keras'}} & set(sys.modules)")


def test_the_packages_are_found_from_any_folder(tmp_path):
    code = "import utilities, pipeline, notebook_pdf; print(utilities.ROOT)"
    assert run(code, cwd=tmp_path).stdout.strip() == str(files.ROOT)


@pytest.mark.parametrize("name", utilities.__all__)
def test_a_name_of_utilities_is_defined_in_coursework(name):
    value = getattr(utilities, name)
    if name == "explore":
        assert value is importlib.import_module("coursework.explore")
    elif isinstance(value, type | types.FunctionType):
        assert value is getattr(sys.modules[value.__module__], name)
        assert value.__module__.startswith("coursework.")
    else:  # a constant
        modules = [module for path, module in sys.modules.items() if path.startswith("coursework.")]
        assert any(getattr(module, name, None) is value for module in modules)


@pytest.mark.parametrize("name", utilities.__all__)
def test_a_name_of_utilities_has_a_docstring(name):
    value = getattr(utilities, name)
    assert value.__doc__ or not callable(value)


def test_utilities_lists_one_name_a_line():
    lines = (files.ROOT / "utilities.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 100
    for name in utilities.__all__:
        assert sum(f'"{name}"' in line for line in lines) == 1, name
    listed = [line.strip().split(",")[0].strip('"') for line in lines if line.startswith(" " * 12 + '"')]
    assert set(listed) <= set(utilities.__all__)
