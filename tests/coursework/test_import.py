import subprocess
import sys

import pytest

import utilities
from coursework import files


def run(code, cwd=None):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=cwd)


@pytest.mark.parametrize(
    ("modules", "not_loaded"),
    [
        ("utilities", {"tensorflow", "keras", "matplotlib", "pandas", "sklearn", "scipy"}),
        ("coursework.course_split, coursework.study, coursework.submission", {"tensorflow", "keras"}),
    ],
)
def test_an_import_prints_nothing_and_loads_no_large_package(modules, not_loaded):
    result = run(f"import sys, {modules}; assert not {not_loaded} & set(sys.modules)")
    assert result.stdout + result.stderr == ""


def test_the_packages_are_found_from_any_folder(tmp_path):
    code = "import utilities, pipeline, notebook_pdf; print(utilities.ROOT)"
    assert run(code, cwd=tmp_path).stdout.strip() == str(files.ROOT)


def test_each_name_of_utilities_is_defined_and_documented():
    for name in utilities.__all__:
        value = getattr(utilities, name)
        assert value.__doc__ or not callable(value), name
