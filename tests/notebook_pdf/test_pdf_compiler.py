import pytest
import typst

from notebook_pdf import ExportError, lossless
from notebook_pdf.mathematics import Formulas
from tests.notebook_pdf.pdf_helpers import code, export_cells, markdown


def test_a_formula_that_typst_refuses_is_replaced_by_its_source(monkeypatch):
    monkeypatch.setattr(Formulas, "to_typst", lambda self: ["unknown.symbol", "x"])
    _, pdf, warnings = export_cells([markdown("before"), markdown(r"$\alpha$ and $x$")])
    assert lossless.pdf_text(pdf).endswith(r"before\alphaandx")
    assert len(warnings) == 1
    assert warnings[0].startswith(r"cell 2: the formula \alpha can't be typeset (unknown variable: unknown")


def test_another_error_of_typst_names_the_cell(monkeypatch):
    monkeypatch.setattr("notebook_pdf.document.typst_code", lambda *_: "undefined_function()")
    with pytest.raises(ExportError, match=r"^Notebook\.ipynb, cell 2: Typst can't typeset it: unknown variable"):
        export_cells([markdown("first"), code("second")])


def test_a_panic_of_typst_is_reported_in_a_sentence(monkeypatch):
    class PanicException(BaseException):
        pass

    def panic(*_, **__):
        raise PanicException("index out of bounds")

    monkeypatch.setattr(typst, "compile", panic)
    with pytest.raises(ExportError, match=r"because of a bug in the exporter \(PanicException: index out of bounds\)"):
        export_cells([markdown("x")])


@pytest.mark.parametrize(
    ("error", "sentence"),
    [(MemoryError(), "needs more memory than is available"), (RecursionError(), "is nested too deeply")],
)
def test_a_lack_of_memory_or_stack_is_reported_in_a_sentence(error, sentence, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(typst, "compile", fail)
    with pytest.raises(ExportError, match=rf"^Notebook\.ipynb {sentence}$"):
        export_cells([markdown("x")])
