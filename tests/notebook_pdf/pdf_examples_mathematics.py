"""Examples of formulas."""

from tests.notebook_pdf.pdf_helpers import Example, code, markdown, result

MATHEMATICS = {
    "inline and display": Example(
        [markdown("$\\alpha_1 \\le 0$ and\n$$\n\\frac{W - K + 2P}{S} + 1\n$$\nand \\\\(b^2\\\\) and \\\\[c\\\\]")],
        ["𝛼1≤0", "𝑊−𝐾+2𝑃", "𝑏2", "𝑐"],
        ["frac", "alpha"],
        ["\\alpha_1 \\le 0", "\\frac{W - K + 2P}{S} + 1", "b^2", "c"],
    ),
    "align": Example(
        [markdown("\\begin{align}\na &= b_1 \\\\\nc* &= d*\n\\end{align}")], ["𝑎=𝑏1", "𝑐∗=𝑑∗"], ["align", "&"]
    ),
    "cases, text and matrices": Example(
        [
            markdown(
                "$$f(x) = "
                "\\begin{cases} "
                "1 & "
                "\\text{if "
                "} "
                "x > 0 \\\\ 0 & "
                "\\text{else}\\end{cases}$$\n$\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}$ "
                "$\\begin{vmatrix}5&6\\\\7&8\\end{vmatrix}$"
            )
        ],
        ["𝑓", "if", "else", "3", "4", "7", "8"],
        ["cases", "matrix", "\\"],
    ),
    "bare environments": Example(
        [
            markdown(
                "\\begin{equation} "
                "E = mc^2 "
                "\\label{e} "
                "\\tag{7} "
                "\\end{equation}\n\n\\begin{eqnarray*} "
                "a &=& b "
                "\\end{eqnarray*}\n\n\\begin{array}{c|c} "
                "p & q \\\\ \\hline r & s "
                "\\end{array}"
            )
        ],
        ["𝐸=𝑚𝑐2", "(7)", "𝑎=𝑏", "𝑝", "𝑠"],
        ["label", "hline"],
    ),
    "macros": Example(
        [
            markdown(
                "$\\newcommand{\\norm}[1]{\\left\\| "
                "#1 "
                "\\right\\|}\\def\\R{\\mathbb{R}}\\DeclareMathOperator{\\soft}{softmax}$"
            ),
            markdown("$\\norm{x} \\in \\R$, $\\soft(z)$"),
        ],
        ["∥𝑥∥∈ℝ", "softmax"],
        ["norm", "newcommand"],
    ),
    "mathematics in headings, tables and HTML": Example(
        [markdown("# With $y^2$\n\n| $a_i$ |\n|---|\n| b |\n\n<div>c $\\beta$</div>")], ["With", "𝑎𝑖", "b", "c", "𝛽"]
    ),
    "formulas that can't be typeset": Example(
        [markdown("before $\\undefinedmacro{x}$ and $x_$ after")],
        ["before", "\\undefinedmacro{x}", "x_", "after"],
        warnings=["cell 1: the formula \\undefinedmacro{x} can't be typeset", "the formula x_ can't be typeset"],
    ),
    "large delimiters and crossed-out letters": Example(
        [markdown(r"$\Big( a \Bigg/ b \bigr)$ and $\bcancel{x} \xcancel{y}$")], ["𝑎", "𝑏", "and", "𝑥", "𝑦"]
    ),
    "formula wider than the page": Example(
        [markdown("$$" + " + ".join(f"x_{{{n}}}" for n in range(60)) + "$$")], ["𝑥59"]
    ),
    "formulas without line breaks": Example(
        [
            markdown(
                "$\\text{"
                + "some long text " * 20
                + "}$ $\\begin{pmatrix}"
                + "&".join(f"a_{{{n}}}" for n in range(60))
                + "\\end{pmatrix}$"
            ),
            markdown("$$\\begin{matrix}" + "\\\\".join(f"b_{{{n}}}" for n in range(150)) + "\\end{matrix}$$"),
            markdown("$$" + " ".join(f"x_{{{n}}}" for n in range(90)) + "$$ and $\\nosuchmacro{" + "abc" * 100 + "}$"),
            markdown(
                "| $"
                + " ".join(f"c_{{{n}}}" for n in range(60))
                + "$ | b |\n|-|-|\n| $\\nosuchmacro{"
                + "abc" * 60
                + "}$ | c |"
            ),
        ],
        ["some long text", "𝑎59", "𝑏149", "𝑥89", "abc" * 100],
        warnings=["cell 3: the formula", "cell 4: the formula"],
        compare=False,
    ),
    "SymPy's formulas": Example(
        [
            code(
                "s",
                result(
                    text_latex="$\\displaystyle " + " + ".join(f"\\frac{{x^{{{n}}}}}{{{n}!}}" for n in range(60)) + "$"
                ),
            )
        ],
        ["59"],
    ),
    "LaTeX output": Example(
        [code("x", result(text_latex="$\\displaystyle \\gamma^2$", text_plain="g**2"))], ["𝛾2"], ["g**2"]
    ),
    "fractions written with over": Example(
        [markdown(r"${a + b \over c}$ and $d \over e$")], ["𝑎+𝑏", "𝑐", "and", "𝑑", "𝑒"], ["over"]
    ),
    "LaTeX output that is not a formula": Example([code("x", result(text_latex="plain words"))], ["plain words"]),
}
