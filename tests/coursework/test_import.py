import subprocess
import sys

import utilities
from coursework import files


def run(code, cwd=None):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=cwd)


def test_the_import_of_utilities_prints_nothing_and_loads_no_large_package():
    large = {"tensorflow", "keras", "matplotlib", "pandas", "sklearn", "scipy"}
    result = run(f"import sys, utilities; assert not {large} & set(sys.modules)")
    assert result.stdout + result.stderr == ""


def test_the_packages_are_found_from_any_folder(tmp_path):
    code = "import utilities, pipeline, notebook_pdf; print(utilities.ROOT)"
    assert run(code, cwd=tmp_path).stdout.strip() == str(files.ROOT)


def test_each_name_of_utilities_is_defined_and_documented():
    for name in utilities.__all__:
        value = getattr(utilities, name)
        assert value.__doc__ or not callable(value), name
