import errno
import re
import subprocess
import sys

import pytest

from notebook_pdf import command, lossless
from tests.notebook_pdf.pdf_helpers import ROOT, attachments_of, code, markdown, stream, write_notebook

NO_LIMITS = "--no-limits"
"""Without limits the command runs in this process."""


def run_command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "notebook_pdf", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True
    )


def test_the_pdf_is_written_beside_the_notebook(tmp_path):
    path = write_notebook(tmp_path / "n.ipynb", markdown("# Title"))
    done = run_command(path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"== {tmp_path / 'n.pdf'}: 0.0 MB ==\n"
    assert lossless.pdf_text((tmp_path / "n.pdf").read_bytes()) == "Title"


def test_the_options_reach_the_export(tmp_path, capsys):
    path = write_notebook(tmp_path / "n.ipynb", markdown("![a cat](no.png)"), code("1", stream("a\nb\nc")))
    options = ["--describe-missing-pictures", "--max-output-lines", "1", "--no-attachment", NO_LIMITS]
    command.run([str(path), str(tmp_path / "other.pdf"), *options])
    assert re.match(r" +n\.ipynb, cell 1: the picture 'no\.png' can't be read", capsys.readouterr().out)
    pdf = (tmp_path / "other.pdf").read_bytes()
    assert "2morelinesleftout" in lossless.pdf_text(pdf)
    assert not attachments_of(pdf)


def test_a_negative_number_of_lines_is_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        command.run(["x.ipynb", "--max-output-lines", "-1"])
    assert ended.value.code == 2
    assert "--max-output-lines is -1, expected 0 or more" in capsys.readouterr().err


def test_an_error_is_a_sentence_with_exit_status_1(tmp_path):
    path = tmp_path / "bad.ipynb"
    path.write_text("this is text")
    done = run_command(path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: bad.ipynb is not a valid notebook: it is not JSON")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (KeyboardInterrupt(), 130, "\nstopped\n"),
        (OSError(errno.ENOSPC, "No space left"), 1, "The disk is full: free some space and run it again.\n"),
        (OSError(errno.EACCES, "Permission denied", "n.pdf"), 1, "error: [Errno 13] Permission denied: 'n.pdf'\n"),
    ],
)
def test_a_stopped_or_failed_export_ends_with_its_status(error, status, message, monkeypatch, capsys):
    def fail(*_):
        raise error

    monkeypatch.setattr(command, "export", fail)
    with pytest.raises(SystemExit) as ended:
        command.run(["n.ipynb", NO_LIMITS])
    assert ended.value.code == status
    assert capsys.readouterr().err.endswith(message)


def test_the_command_loads_neither_jupyter_nor_numpy():
    script = (
        "import sys, notebook_pdf.command; assert not {'nbconvert', 'nbformat', 'numpy', 'pandas'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems lack these limits")
@pytest.mark.parametrize(
    ("limit", "value", "cell", "sentence"),
    [
        # A lexer takes twice as long for each additional backslash.
        ("PROCESSOR_SECONDS", "1", '```fish\n"' + "\\" * 60 + "\n```", "can't be typeset within 1 seconds"),
        ("MEMORY", "250 << 20", "word " * 10**6, "needs more (than|memory)"),
    ],
)
def test_an_export_beyond_its_limits_ends_with_a_sentence(tmp_path, limit, value, cell, sentence):
    path = write_notebook(tmp_path / "n.ipynb", markdown(cell))
    (tmp_path / "n.pdf").write_bytes(b"the previous PDF")
    script = f"from notebook_pdf import command, limits; limits.{limit} = {value}; command.run()"
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert re.search(rf"^error: .*n.ipynb {sentence}", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr
    assert (tmp_path / "n.pdf").read_bytes() == b"the previous PDF"
