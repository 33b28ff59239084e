"""Whatever is read: a correct result, or one of our own errors with a sentence; never anything else.

`FUZZ_CASES=10000 pytest tests/test_properties.py --hypothesis-show-statistics` tries so many of each; the tests try few.
"""

import contextlib
import gzip
import io
import json
import math
import re
import string

import h5py
import keras
import nbformat
import numpy as np
import pytest
import sklearn.metrics
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.running import FUZZ_CASES
from tests.pipeline.test_grid import GRID

from coursework import checkpoint, data, evaluation, submission
from pipeline import parameters, read_hdf5
from pipeline.errors import UserError
from pipeline.experiments.grid import EXPERIMENT, read_grid
from pipeline.handin_pdf.document import typeset_file
from pipeline.handin_pdf.errors import ExportError, UnforeseenError
from pipeline.parameters import check_parameters, read_profile

many = settings(
    max_examples=FUZZ_CASES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
few = settings(many, max_examples=max(1, FUZZ_CASES // 10))

plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["baseline", "course", "constant", "f1", "lower", "experiments.yaml", "relu"]),
)
nested = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)


def is_sentence(error):
    return len(str(error)) > 10 and "Traceback" not in str(error)


def damaged(content, cuts):
    """Text or bytes with pieces taken out, doubled or replaced."""
    for place, length, piece in cuts:
        place %= len(content) + 1
        content = content[:place] + piece + content[place + length :]
    return content


def cuts_of(pieces):
    return st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 60), pieces), min_size=1, max_size=4)


# --- Checkpoints ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A model, an identity, and the bytes of the checkpoint that they left."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    path = tmp_path_factory.mktemp("checkpoint") / "model.npz"
    identity = {"layers": "one", "data": "two"}
    checkpoint.save(path, identity, model, [{"val_f1": 0.5}], model.get_weights())
    return model, identity, path.read_bytes()


@many
@given(flipped=st.tuples(st.integers(0, 10**6), st.integers(1, 255)), cuts=cuts_of(st.binary(max_size=9)))
def test_checkpoints(tmp_path, checkpoint, flipped, cuts):
    model, identity, right = checkpoint
    place, mask = flipped
    turned = bytearray(right)
    turned[place % len(right)] ^= mask
    for content in (bytes(turned), damaged(right, cuts)):
        (tmp_path / "model.npz").write_bytes(content)
        with contextlib.redirect_stdout(io.StringIO()) as said:
            history, best_weights = checkpoint.restore(tmp_path / "model.npz", identity, model)
        if history:
            assert history == [{"val_f1": 0.5}]
            for one, other in zip(best_weights, model.get_weights(), strict=True):
                np.testing.assert_array_equal(one, other)
        else:
            assert re.fullmatch(r"model.npz is damaged and not used \(.+\)\n", said.getvalue())


# --- Data -----------------------------------------------------------------------------------------


@many
@given(
    content=st.binary(max_size=200),
    bytes_more=st.integers(0, 10_000),
    compressed=st.booleans(),
    cuts=cuts_of(st.binary(max_size=9)),
)
def test_idx_files(small_data_set, tmp_path, content, bytes_more, compressed, cuts):
    name = "t10k-labels-idx1-ubyte"
    right = small_data_set[name]
    for candidate in (content, right + bytes(bytes_more), damaged(right, cuts)):
        stored = damaged(gzip.compress(candidate), cuts[:1]) if compressed and candidate is content else candidate
        path = tmp_path / f"{name}{'.gz' if compressed else ''}"
        path.write_bytes(gzip.compress(stored) if compressed and candidate is not content else stored)
        found, problems = data.files_in_folder("fashion_mnist", [name], tmp_path)
        assert found in ({}, {name: right})
        assert bool(found) != bool(problems)
        path.unlink()


@pytest.fixture(scope="module")
def course_file(tmp_path_factory):
    """A file of the course's form, but small."""
    path = tmp_path_factory.mktemp("course") / "small.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "images",
            data=np.arange(48, dtype=np.uint8).reshape(3, 4, 4),
            chunks=(2, 4, 4),
            compression="gzip",
            fletcher32=True,
        )
        file.create_dataset("labels", data=np.array([1, 2, 3], np.uint8))
    return path.read_bytes()


SHAPES = {"images": (3, 4, 4), "labels": (3,)}


@many
@given(
    dtype=st.sampled_from(["u1", "i1", "i8", "f4", "S3", "bool", "c8"]),
    shape=st.sampled_from([(3,), (3, 1), (2,), (), (0,), (3, 4, 4)]),
    low=st.integers(-3, 12),
    group=st.booleans(),
)
def test_course_files_of_another_form(tmp_path, dtype, shape, low, group):
    path = tmp_path / "file.h5"
    with h5py.File(path, "w") as file:
        file["images"] = np.zeros((3, 4, 4), np.uint8)
        if group:
            file.create_group("labels")
        else:
            file["labels"] = np.full(shape, low).astype(dtype)
    whole = not group and shape == (3,) and dtype in ("u1", "i1", "i8") and 0 <= np.full((), low).astype(dtype) <= 9
    try:
        content, _ = read_hdf5.read(str(path), SHAPES)
    except read_hdf5.UnfitError as error:
        assert is_sentence(error)
        assert not whole
    else:
        assert whole
        assert content["labels"].tolist() == [low] * 3


# --- Submission and score -------------------------------------------------------------------------


@many
@given(
    rows=st.lists(st.tuples(st.integers(-1, 12), st.integers(-1, 12)), max_size=8),
    images=st.integers(0, 8),
    cuts=st.none()
    | cuts_of(st.sampled_from(["", ",", "\n", "\r", '"', "1", "nan", "1e3", " ", "\x00", "é", "0x1", "ID"])),
)
def test_submissions(tmp_path, rows, images, cuts):
    right = [f"{number},{number % 10}" for number in range(images)]
    for lines in (right, [f"{one},{other}" for one, other in rows]):
        text = "\n".join(["ID,Prediction", *lines]) + "\n"
        text = damaged(text, cuts) if cuts else text
        path = tmp_path / "submission.csv"
        path.write_bytes(text.encode())
        try:
            predictions = submission.read_submission(path, images)
        except submission.SubmissionError as error:
            assert is_sentence(error)
            assert text != "\n".join(["ID,Prediction", *right]) + "\n" or not images
        else:
            assert len(predictions) == images
            assert [line.split(",") for line in text.splitlines()[1:]] == [
                [str(n), str(p)] for n, p in enumerate(predictions)
            ]


@many
@given(pairs=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=60))
def test_scores(pairs):
    labels, predictions = np.array(pairs).T
    result = evaluation.score(labels, predictions)
    assert result["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(labels, predictions))
    macro = sklearn.metrics.f1_score(labels, predictions, average="macro", zero_division=0)
    assert result["f1"] == pytest.approx(macro)
    for name in ("accuracy", "f1"):
        low, high = result[f"{name}_interval"]
        assert 0 <= low <= high <= 1
        assert math.isfinite(low + high)


# --- Parameters, profiles, grids ------------------------------------------------------------------

NAMES = ["seed", "epochs", "share", "dropout", "flip", "activation", "kernel_size", "noise", "l1"]


@many
@given(values=st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8), plain, max_size=4))
def test_parameters(values):
    try:
        checked = check_parameters(EXPERIMENT, values)
    except UserError as error:
        assert is_sentence(error)
    else:
        assert all(checked[name] is value for name, value in values.items())
        assert checked["epochs"] >= 1
        assert 0 < checked["share"] <= 1
        assert checked["activation"] in ("relu", "leaky relu")
        assert isinstance(checked["flip"], bool)


PROFILE = "part1_mnist:\n  epochs: 3\n  seed: 2\npart2_fashion_mnist: {split: official}\n"


@many
@given(content=nested, cuts=cuts_of(st.text(alphabet=string.printable, max_size=6)))
def test_profiles(tmp_path, monkeypatch, content, cuts):
    monkeypatch.setattr(parameters, "PROFILES_FOLDER", tmp_path)
    for text in (yaml.safe_dump(content), damaged(PROFILE, cuts)):
        (tmp_path / "own.yaml").write_text(text, encoding="utf-8")
        try:
            values = read_profile("own", "part1_mnist")
            check_parameters(parameters.NOTEBOOKS_FOLDER / "part1_mnist.ipynb", values)
        except UserError as error:
            assert is_sentence(error)
        else:
            assert isinstance(values, dict)


@many
@given(content=nested, cuts=cuts_of(st.text(alphabet=string.printable, max_size=6) | st.sampled_from(GRID.split())))
def test_grids(tmp_path, content, cuts):
    for text in (yaml.safe_dump(content), damaged(GRID, cuts)):
        path = tmp_path / "grid.yaml"
        path.write_text(text, encoding="utf-8")
        try:
            runs = read_grid(path)
        except UserError as error:
            assert str(error).startswith("grid.yaml")
        else:
            assert {run.variant for run in runs} >= {"baseline"}
            assert len({json.dumps(run.parameters, sort_keys=True) for run in runs}) == len(runs)


# --- Notebooks ------------------------------------------------------------------------------------

fragments = st.sampled_from(
    [
        "# Title",
        "$x^2$",
        "$$\\frac{a}{b}$$",
        "![](x.png)",
        "<b>bold",
        "</td>",
        "| a | b |\n|--|--|\n| 1 | 2 |",
        "```",
        "* one",
        "[a](#b)",
        "#read(1)",
        "\\begin{align}",
        "&amp;",
        "\x1b[31m",
        "<svg/>",
        "[^1]",
        "> quote",
        "$\\phantom{\\text{#panic(1)}}$",
        "```console\n$ ls\n```",
        '<p style="color: rgb(1e400%, 0%, 0%)">x',
        "&#xfdd0;9&#xfdd1;",
        "<td rowspan=0 colspan=1000>",
        "<div>",
        "\u202e",
        "\ud83d\ude00",
        "a" * 300,
    ]
)
sources = st.lists(fragments | st.text(max_size=30), max_size=5).map("\n".join)
outputs = st.one_of(
    st.builds(lambda text: {"output_type": "stream", "name": "stdout", "text": text}, sources),
    st.builds(
        lambda kind, text: {"output_type": "display_data", "metadata": {}, "data": {kind: text}},
        st.sampled_from(
            ["text/html", "text/plain", "text/markdown", "text/latex", "image/svg+xml", "image/png", "x/y"]
        ),
        sources,
    ),
    nested,
)
cells = st.one_of(
    st.builds(lambda source: {"cell_type": "markdown", "metadata": {}, "source": source}, sources),
    st.builds(
        lambda source, given: {
            "cell_type": "code",
            "metadata": {},
            "source": source,
            "outputs": given,
            "execution_count": 1,
        },
        sources,
        st.lists(outputs, max_size=3),
    ),
    nested,
)


def typeset_or_refuse(path, content):
    path.write_bytes(content)
    try:
        pdf, warnings = typeset_file(path)
    except ExportError as error:
        assert not isinstance(error, UnforeseenError)
        assert str(error).startswith(path.name)
        assert is_sentence(error)
        assert str(path.parent) not in str(error)
    else:
        assert pdf.startswith(b"%PDF")
        assert all(map(is_sentence, warnings))


@few
@given(cells=st.lists(cells, max_size=4), metadata=nested)
def test_notebooks_of_any_content(tmp_path, cells, metadata):
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}
    typeset_or_refuse(tmp_path / "any.ipynb", json.dumps(notebook).encode())


@few
@given(cuts=cuts_of(st.binary(max_size=8)), minor=st.integers(-1, 6), major=st.integers(-1, 6))
def test_damaged_notebooks(tmp_path, cuts, minor, major):
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell("# One"), nbformat.v4.new_code_cell("1 + 1")]
    )
    content = json.dumps(dict(notebook, nbformat=major, nbformat_minor=minor)).encode()
    typeset_or_refuse(tmp_path / "damaged.ipynb", content)
    typeset_or_refuse(tmp_path / "damaged.ipynb", damaged(content, cuts))


@pytest.mark.parametrize("depth", [100, 100_000])
def test_deep_notebooks(tmp_path, depth):
    deep = "[" * depth + "]" * depth
    typeset_or_refuse(tmp_path / "deep.ipynb", f'{{"nbformat": 4, "metadata": {{}}, "cells": {deep}}}'.encode())
    html = json.dumps("<div>" * depth + "x" + "</div>" * depth)
    output = f'{{"output_type": "display_data", "metadata": {{}}, "data": {{"text/html": {html}}}}}'
    cell = f'{{"cell_type": "code", "metadata": {{}}, "source": "", "outputs": [{output}], "execution_count": 1}}'
    typeset_or_refuse(tmp_path / "deep.ipynb", f'{{"nbformat": 4, "metadata": {{}}, "cells": [{cell}]}}'.encode())
