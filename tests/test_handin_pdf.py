"""The exporter, against small notebooks of one feature or fault each; `lossless.py` compares what they hold and print."""

import base64
import io
import itertools
import json
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from notebook_pdf import lossless
import nbformat
import pypdf
import pypdfium2
import pytest
from nbconvert.utils.exceptions import ConversionException
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell
from PIL import Image
from pypdf.generic import NullObject

from coursework import files
from pipeline.errors import UserError
from pipeline.handin_pdf.document import typeset_file
from pipeline.handin_pdf.exporter import HandinPDFExporter
from pipeline.handin_pdf.pictures import Pictures
from pipeline.handin_pdf.typst_text import line_pieces
import notebook_pdf

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><rect width="30" height="10"/>{}</svg>'


def picture(form, mode="RGB", size=(40, 20)):
    content = io.BytesIO()
    Image.new(mode, size, 120).save(content, form)
    return base64.b64encode(content.getvalue()).decode()


PNG = picture("PNG")
BIG = f"data:image/png;base64,{picture('PNG', size=(1200, 400))}"


def markdown(source, **attachments):
    cell = new_markdown_cell(source)
    if attachments:
        cell["attachments"] = {name.replace("_", "."): content for name, content in attachments.items()}
    return cell


def code(source, *outputs, count=1, **metadata):
    return new_code_cell(source, execution_count=count, outputs=list(outputs), metadata=metadata)


def stream(text, name="stdout"):
    return new_output("stream", name=name, text=text)


def result(metadata=None, **data):
    kinds = {name.replace("__", "+").replace("_", "/", 1).replace("_", "."): content for name, content in data.items()}
    return new_output("display_data", kinds, metadata=metadata or {})


@dataclass
class Fixture:
    """A notebook, passages its PDF must hold in this order, what it must not hold, alternative texts, and words of its
    warnings."""

    cells: list
    holds: list = field(default_factory=list)
    lacks: list = field(default_factory=list)
    alternatives: list = field(default_factory=list)
    warnings: list = field(default_factory=list)


LONG_LINE = "call(" + ", ".join(f"argument_{number}={number}" for number in range(40)) + ")"
DATA_FRAME = (
    "<style scoped>td {color: red}</style><table class='dataframe'><thead><tr><th></th><th>name</th><th>score</th></tr>"
    "</thead><tbody><tr><th>0</th><td>T-shirt/top</td><td>0.87</td></tr></tbody></table><p>1 rows × 2 columns</p>"
)
WIDE_FRAME = "<table><tr><th></th>{}</tr><tr><th>row</th>{}</tr></table>".format(
    "".join(f"<th>feature_number_{number}</th>" for number in range(40)),
    "".join(f"<td>{number}.12345</td>" for number in range(40)),
)
LONG_FRAME = "<table><thead><tr><th>heading</th></tr></thead><tbody>{}</tbody></table>".format(
    "".join(f"<tr><td>line{number}</td></tr>" for number in range(200))
)
STYLER = (
    "<style>#T_a_row0_col0 {color: #ff0000; font-weight: bold; background-color: yellow}</style>"
    "<table id='T_a'><caption>Styled scores</caption><tr><th>k</th></tr><tr><td id='T_a_row0_col0'>0.5</td></tr></table>"
)
SUMMARY = (
    "┏━━━━━━━━━━┳━━━━━━━━━┓\n┃\x1b[1m Layer    \x1b[0m┃ Param # ┃\n┡━━━━━━━━━━╇━━━━━━━━━┩\n│ conv2d   │     156 │\n"
    "│ (Conv2D) │         │\n├──────────┼─────────┤\n│ dense    │  48,120 │\n└──────────┴─────────┘\n"
)
SPANS = (
    "<table><tr><th colspan=2>wide</th></tr><tr><td rowspan=2>tall</td><td>one</td></tr><tr><td>two</td></tr></table>"
)

FIXTURES = {
    # --- Markdown ---
    "headings": Fixture([markdown("# One\n\n## Two\n\n#### Four\n\ntext\n\nFive\n====")], ["One", "Two", "Four", "Five"]),
    "nested lists": Fixture(
        [markdown("- a\n  - b\n    1. c\n    2. d\n\n       more\n- e\n\n7. seven\n8. eight")],
        ["•a", "b", "1.c", "2.d", "more", "e", "7.seven", "8.eight"],
    ),
    "task list": Fixture([markdown("- [ ] to do\n- [x] done")], ["☐todo", "☑done"]),
    "aligned table": Fixture(
        [markdown("| left | mid | right |\n|:--|:-:|--:|\n| a \\| b | `code` | 1.5 |\n| $x$ | **bold** | 22 |")],
        ["left", "mid", "right", "a|b", "code", "1.5", "𝑥", "bold", "22"],
    ),
    "block quotes": Fixture([markdown("> outer\n>\n> > inner")], ["outer", "inner"]),
    "footnotes": Fixture(
        [markdown("Text[^1] and again[^1] and[^b].\n\n[^1]: First *note*.\n[^b]: Second note.")],
        ["Text", "and again", "First note.", "Second note."],
        ["[^1]"],
    ),
    "links": Fixture(
        [markdown("[site](https://example.org/a?b=c&d), <https://auto.example.org>, www.bare.example.org, [r][1]\n\n[1]: /x")],
        ["site", "https://auto.example.org", "www.bare.example.org", "r"],
    ),
    "emphasis": Fixture([markdown("*a* **b** ***c*** ~~d~~ `e  f` \\*g\\* snake_case_name")], ["a", "b", "*g*", "snake_case_name"]),
    "inline HTML": Fixture(
        [markdown("H<sub>2</sub>O<br>x<sup>2</sup> <b>bold</b> <i>it</i> <u>un</u> <mark>ma</mark> <kbd>Ctrl</kbd> <font color='red'>red</font> <span style='color:#ff0'>yellow</span>")],
        ["H2O", "x2", "bold", "it", "un", "ma", "Ctrl", "red", "yellow"],
    ),
    "details": Fixture(
        [markdown("<details><summary>Click me</summary>\n\nHidden **text**\n\n</details>")], ["Click me", "Hidden text"]
    ),
    "HTML blocks": Fixture(
        [markdown("<div align='center'><p>one<p>two<ul><li>three<li>four</ul></div>\n\n<center>five</center>\n<dl><dt>t<dd>d</dl>")],
        ["one", "two", "three", "four", "five", "t", "d"],
    ),
    "HTML table with spans": Fixture([markdown(SPANS)], ["wide", "tall", "one", "two"]),
    "scripts, styles and comments": Fixture(
        [markdown("seen<script>alert('script')</script><style>p {color: stylesheet}</style><!-- comment --> also seen")],
        ["seen", "also seen"],
        ["script", "stylesheet", "comment"],
    ),
    "embedded video": Fixture(
        [markdown("<iframe src='https://www.example.org/embed/x'></iframe>")], ["https://www.example.org/embed/x"]
    ),
    "code blocks": Fixture(
        [markdown("```python\ndef f(x):\n    return '$no mathematics$'  # ``\n```\n\n    indented $too$\n\n~~~\n<b>&amp;\n~~~")],
        ["def f(x):", "return '$no mathematics$'  # ``", "indented $too$", "<b>&amp;"],
    ),
    "smart quotes, dashes and Typst's own signs": Fixture(
        [markdown("\"quoted\" it's -- #read(\"x\") $ 5 @ref <label> // no comment * _ ` ~ = + / [x] #set #let \\#")],
        ['"quoted" it\'s -- #read("x")', "@ref", "// no comment * _ ` ~ = + / [x] #set #let #"],
    ),
    "prices": Fixture([markdown("It costs $5 and $10, or \\$3.")], ["It costs $5 and $10, or $3."]),
    "long address": Fixture([markdown("https://example.org/" + "a" * 200)], ["a" * 200]),
    "deep nesting": Fixture(
        [
            markdown("\n".join("  " * depth + f"- item{depth}." for depth in range(15))),
            markdown(">" * 30 + " quoted"),
            markdown("<div>" * 300 + "inside" + "<font color=red><p>" * 300 + "unclosed"),
        ],
        ["item0.", "item9.", "item14.", "quoted", "inside", "unclosed"],
    ),
    "anchors and footnotes in headings": Fixture(
        [markdown("# T\n[go](#a) [up](#top)\n## A <a class='anchor' id='a'></a>[^1]\n## B <a name='top'/>\n## C\n## D\ntext[^1]\n\n[^1]: note")],
        ["T", "A", "B", "C", "D", "goupA1", "B", "C", "D", "text2", "1note2note"],
    ),
    "links in the header of a long table": Fixture(
        [markdown("|[Name](http://a.b)|b[^1]|\n|-|-|\n" + "|x|y|\n" * 100 + "\n\n[^1]: note")], ["Name", "x", "y", "note"]
    ),
    "injection by a footnote's name": Fixture(
        [markdown("<section class='footnotes'><li class='footnote-item' id='a\")#panic(1)#(\"'>note</li></section><sup class='footnote-ref'><a href='#a\")#panic(1)#(\"'>1</a></sup>")],
        ["note"],
        ["panic"],
    ),
    "code and long words in a table": Fixture(
        [
            markdown("| Name | Type | Values | Since | More | Default |\n|---|---|---|---|---|---|\n" + "| `learning_rate_schedule` | `Optional[Callable]` | `'constant'`, `'linear_warmup'` | `sklearn.linear_model.LogisticRegr` | `nn.Conv2d_abc` | `2.13.0` |\n"),
            markdown("| " + " | ".join(["W" * 39] * 4) + " |\n|---|---|---|---|\n| " + " | ".join([f"`{'W' * 39}`"] * 4) + " |"),
        ],
        ["learning_rate_schedule", "Optional[Callable]", "W" * 39],
    ),
    "a span over more columns than there are": Fixture(
        [markdown("<table><tr><th colspan='100'>Title</th></tr><tr><td>a</td><td colspan='²'>b</td></tr></table>")],
        ["Title", "a", "b"],
        ["part"],
    ),
    "prices beside code": Fixture(
        [markdown("It costs $5, see `$HOME` and `x`. `\ufdd00\ufdd1` \ufdd00\ufdd1")], ["It costs $5, see $HOME and x."]
    ),
    "large pictures in a line, a list and a table": Fixture(
        [
            markdown(f"a ![wide]({BIG}) b\n\n- c <img src='{BIG}' width='100%'> d\n\n| e ![x]({BIG}) | ![y]({BIG}) f |\n|-|-|\n| g | h |"),
            markdown(f"<img src='{BIG}' height='9000'> <img src='{BIG}' width='1.2.3'>"),
        ],
        ["a", "b", "c", "d", "e", "f", "g", "h"],
    ),
    "lines in code blocks of HTML": Fixture([markdown("<pre>one<br>two</pre> <code>three<br>four</code>")], ["one", "two", "three", "four"]),
    "data as a link": Fixture(
        [markdown(f"<a download='x.csv' href='data:text/csv;base64,{'A' * 9000}'>Download</a>")],
        ["Download"],
        warnings=["a link holds data instead of an address"],
    ),
    # --- mathematics ---
    "inline and display": Fixture(
        [markdown("$\\alpha_1 \\le 0$ and\n$$\n\\frac{W - K + 2P}{S} + 1\n$$\nand \\\\(b^2\\\\) and \\\\[c\\\\]")],
        ["𝛼1≤0", "𝑊−𝐾+2𝑃", "𝑏2", "𝑐"],
        ["frac", "alpha"],
        ["\\alpha_1 \\le 0", "\\frac{W - K + 2P}{S} + 1", "b^2", "c"],
    ),
    "align": Fixture([markdown("\\begin{align}\na &= b_1 \\\\\nc* &= d*\n\\end{align}")], ["𝑎=𝑏1", "𝑐∗=𝑑∗"], ["align", "&"]),
    "cases, text and matrices": Fixture(
        [markdown("$$f(x) = \\begin{cases} 1 & \\text{if } x > 0 \\\\ 0 & \\text{else}\\end{cases}$$\n$\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}$ $\\begin{vmatrix}5&6\\\\7&8\\end{vmatrix}$")],
        ["𝑓", "if", "else", "3", "4", "7", "8"],
        ["cases", "matrix", "\\"],
    ),
    "bare environments": Fixture(
        [markdown("\\begin{equation} E = mc^2 \\label{e} \\tag{7} \\end{equation}\n\n\\begin{eqnarray*} a &=& b \\end{eqnarray*}\n\n\\begin{array}{c|c} p & q \\\\ \\hline r & s \\end{array}")],
        ["𝐸=𝑚𝑐2", "(7)", "𝑎=𝑏", "𝑝", "𝑠"],
        ["label", "hline"],
    ),
    "macros": Fixture(
        [markdown("$\\newcommand{\\norm}[1]{\\left\\| #1 \\right\\|}\\def\\R{\\mathbb{R}}\\DeclareMathOperator{\\soft}{softmax}$"), markdown("$\\norm{x} \\in \\R$, $\\soft(z)$")],
        ["∥𝑥∥∈ℝ", "softmax"],
        ["norm", "newcommand"],
    ),
    "mathematics in headings, tables and HTML": Fixture(
        [markdown("# With $y^2$\n\n| $a_i$ |\n|---|\n| b |\n\n<div>c $\\beta$</div>")], ["With", "𝑎𝑖", "b", "c", "𝛽"]
    ),
    "mathematics that can't be set": Fixture(
        [markdown("before $\\undefinedmacro{x}$ and $x_$ after")],
        ["before", "\\undefinedmacro{x}", "x_", "after"],
        warnings=["cell 1: the formula \\undefinedmacro{x} can't be set", "the formula x_ can't be set"],
    ),
    "code for Typst in formulas": Fixture(
        [markdown(r"a $$x\phantom{\text{#panic(1)}}$$ b $\hphantom {\text{]#panic(2)#[}}y$ c $\boxed{\text{#panic(3)}}$ d $\phantom#$")],
        ["a", "b", "c", "#panic(3)", "d", "\\phantom#"],
        warnings=["the formula \\phantom# can't be set"],
    ),
    "code for Typst between quotation marks": Fixture(
        [
            markdown(r'''$$\mathop{\text{"}}\operatorname{\text{"#panic(1)}}\operatorname{\text{"}}$$'''),
            markdown(r'''$$\operatorname{\text{"\textbackslash#h(1em)#panic(7)"}}$$'''),
        ],
        ["#panic(1)", "#panic(7)"],
        warnings=["can't be set", "can't be set"],
    ),
    "large signs and crossed-out letters": Fixture([markdown(r"$\Big( a \Bigg/ b \bigr)$ and $\bcancel{x} \xcancel{y}$")], ["𝑎", "𝑏", "and", "𝑥", "𝑦"]),
    "brackets without end": Fixture([markdown("a " + "[" * 400)], ["a"]),
    "a session of a terminal": Fixture(
        [markdown("```console\n$ ls\nlast line\n```\n\n```console\n$ make report\n```")], ["$ ls", "last line", "$ make report"]
    ),
    "lists in lists": Fixture(
        [markdown("\n".join(f"{'  ' * level}- item{level}" for level in range(60)))], [f"item{level}" for level in range(60)]
    ),
    "colours that no screen has": Fixture(
        [
            code(
                "1",
                result(text_html=f"<p style='color: rgb(1e400%,0%,0%)'>a</p><p style='color: rgb({'9' * 400},0,0)'>b</p>"
                "<table><tr><td style='background-color: hsl(1e400,1%,1%)'>c</td></tr></table>"),
                stream(f"\x1b[38;2;{'9' * 400};0;0md\x1b[0m"),
            )
        ],
        ["a", "b", "c", "d"],
    ),
    "a formula that never ends": Fixture([markdown("a\n\n$$" + "\\\\" * 400)], ["a"]),
    "a caption full of blanks": Fixture(
        [code(f"#| fig-cap: one{' ' * 40_000}two\n#| fig-alt:  \n1", result(image_png=PNG))], ["Figure 1: one two"], alternatives=["one two"]
    ),
    "signs of ours as entities": Fixture([code("1", result(text_html="<p>a<code>&#xfdd0;99&#xfdd1;</code>b</p>"))], ["a", "b"]),
    "empty elements in each other": Fixture([markdown(f"a\n\n{'<div>' * 22}{'</div>' * 22}\n\nb")], ["a", "b"]),
    "a width that is none": Fixture(
        [code("1", result({"image/png": {"width": 10**400}}, image_png=PNG, text_plain="x"))], ["Figure 1"], warnings=["has no description"]
    ),
    "a picture in PostScript": Fixture(
        [code("1", result(image_png=base64.b64encode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n").decode(), text_plain="x"))],
        ["x"],
        warnings=["is in no known picture format"],
    ),
    "a formula wider than the page": Fixture([markdown("$$" + " + ".join(f"x_{{{n}}}" for n in range(60)) + "$$")], ["𝑥59"]),
    "formulas that can't be broken": Fixture(
        [
            markdown("$\\text{" + "some long text " * 20 + "}$ $\\begin{pmatrix}" + "&".join(f"a_{{{n}}}" for n in range(60)) + "\\end{pmatrix}$"),
            markdown("$$\\begin{matrix}" + "\\\\".join(f"b_{{{n}}}" for n in range(150)) + "\\end{matrix}$$"),
            markdown("$$" + " ".join(f"x_{{{n}}}" for n in range(90)) + "$$ and $\\nosuchmacro{" + "abc" * 100 + "}$"),
            markdown("| $" + " ".join(f"c_{{{n}}}" for n in range(60)) + "$ | b |\n|-|-|\n| $\\nosuchmacro{" + "abc" * 60 + "}$ | c |"),
        ],
        ["some long text", "𝑎59", "𝑏149", "𝑥89", "abc" * 100],
        warnings=["cell 3: the formula", "cell 4: the formula"],
    ),
    "a separator as a formula": Fixture([markdown("$x %%formula%% y$ $\\text{%%formula%%}$ and $z$")], ["and𝑧"],
        warnings=["the formula x %%formula%% y can't be set"],),
    "SymPy's formulas": Fixture(
        [code("s", result(text_latex="$\\displaystyle " + " + ".join(f"\\frac{{x^{{{n}}}}}{{{n}!}}" for n in range(60)) + "$"))], ["59"]
    ),
    "LaTeX output": Fixture([code("x", result(text_latex="$\\displaystyle \\gamma^2$", text_plain="g**2"))], ["𝛾2"], ["g**2"]),
    # --- code and text ---
    "code in order": Fixture(
        [code("first()", stream("one\n")), new_raw_cell("raw *text*"), code("second()", stream("two\n"), count=2)],
        ["[1]", "first()", "one", "raw *text*", "[2]", "second()", "two"],
    ),
    "long lines and tokens": Fixture([code(f"{LONG_LINE}\n{'x' * 400}", stream("y" * 400))], [LONG_LINE, "x" * 400, "y" * 400]),
    "blank lines, tabs and no final newline": Fixture([code("a = 1\n\n\n\tb = 2\n\n", stream("\n\n  c\n\n  d"))], ["a=1", "b=2", "c", "d"]),
    "injected Typst": Fixture(
        [code('#read("x") $(id) "; import os \\evil{} // c *b* @r <l> `w` {{ nb }} {% x %}', stream('#panic("y") \\u{41}'))],
        ['#read("x") $(id) "; import os \\evil{} // c *b* @r <l> `w` {{ nb }} {% x %}', '#panic("y") \\u{41}'],
    ),
    "ANSI colours": Fixture(
        [code("1", stream("\x1b[31mred\x1b[0m \x1b[1;38;5;208morange\x1b[0m \x1b[38;2;1;2;3mtrue\x1b[0m \x1b]8;;u\x07link\x1b]8;;\x07\x1b[2K"))],
        ["red", "orange", "true", "link"],
        ["[31m", "208"],
    ),
    "carriage returns and backspaces": Fixture(
        [code("1", stream(" 10 %\r 50 %\r100 %\nabc\b\bX\n"), stream("half "), stream("line\r\nnext"))],
        ["100 %", "aXc", "half line", "next"],
        ["50"],
    ),
    "error": Fixture(
        [code("1/0", new_output("error", ename="ZeroDivisionError", evalue="by zero", traceback=["\x1b[0;31m---\x1b[0m", "ZeroDivisionError: by zero"]))],
        ["1/0", "---", "ZeroDivisionError: by zero"],
    ),
    "standard error": Fixture([code("1", stream("careful\n", "stderr"), stream("fine"))], ["careful", "fine"]),
    "box drawing": Fixture([code("1", stream(SUMMARY))], ["┏━━━", "┃Layer", "48,120", "└──────────┴"]),
    "Unicode": Fixture(
        [markdown("αβγ ΩΔ æøå ÆØÅ ő ∑ ℝ → ☃ 🚀 日本語 中文 한국어 שלום हिन्दी"), code("s = 'æøå 🚀 日本語 λ → ✓'  # ∑", stream("▁▂▃ ⠋ 𝟙 ä"))],
        ["αβγ ΩΔ æøå ÆØÅ ő ∑", "☃", "🚀", "日本語", "中文", "한국어", "s = 'æøå", "🚀", "日本語", "▁▂▃"],
    ),
    "a character no font has": Fixture(
        [markdown("old 𓀀 sign and \x02")], ["old", "U+13000", "sign"], warnings=["U+13000 EGYPTIAN HIEROGLYPH A001", "U+2402 SYMBOL FOR START OF TEXT"]
    ),
    "private characters": Fixture(
        [code("1", stream("powerline \ue0b0 prompt \uf015")), markdown("icon \ue0b0")],
        ["powerline", "U+E0B0", "prompt", "U+F015", "icon"],
        warnings=["U+E0B0", "U+F015"],
    ),
    "other languages": Fixture([code("%%bash\necho $HOME && ls | wc"), code("%timeit f(x)\n!ls ?", count=None)], ["echo $HOME && ls | wc", "%timeit f(x)", "!ls ?"]),
    "hidden by tags": Fixture(
        [
            code("secret_input", stream("shown output"), tags=["hide-input"]),
            code("shown input", stream("secret_output"), tags=["remove-output"]),
            code("secret_cell", stream("secret_too"), tags=["remove_cell"]),
            new_markdown_cell("secret_markdown", metadata={"tags": ["hide-cell"]}),
        ],
        ["shown output", "shown input"],
        ["secret"],
    ),
    # --- rich outputs ---
    "data frame": Fixture(
        [code("table", result(text_html=DATA_FRAME, text_plain="unused"))],
        ["Table 1", "name", "score", "0", "T-shirt/top", "0.87", "1 rows × 2 columns"],
        ["unused", "color"],
    ),
    "styled data frame": Fixture([code("s", result(text_html=STYLER))], ["Table 1: Styled scores", "k", "0.5"], ["T_a"]),
    "wide data frame": Fixture([code("w", result(text_html=WIDE_FRAME))], ["part 1 of", "feature_number_0", "part 2 of", "feature_number_39"]),
    "long data frame": Fixture([code("l", result(text_html=LONG_FRAME))], ["line0", "line100", "line199"]),
    "model summary": Fixture(
        [code("m", result(text_html="<pre>Model</pre>", text_plain='Model: "net"\n'), result(text_html="<pre>t</pre>", text_plain=SUMMARY), result(text_html="<pre>p</pre>", text_plain="Total: 9\n"))],
        ['Table 1: Model: "net"', "Layer", "Param #", "conv2d (Conv2D)", "156", "dense", "48,120", "Total: 9"],
        ["┃", "│"],
    ),
    "pictures": Fixture(
        [
            code("plt.title('Drawn title')", result(image_png=PNG, text_plain="<Figure>")),
            code("#| fig-cap: A **caption** of $x$\n#| fig-alt: What it shows", result(image_jpeg=picture("JPEG"))),
            code("3", result({"caption": "From metadata", "alt": "Told by metadata"}, **{"image_svg__xml": SVG.format("")})),
            code("4", result(**{"image_svg__xml": SVG.format("<title>Own title</title><text y='9'>word</text>")})),
            code("5", result(image_gif=picture("GIF", "P"), image_png=picture("PNG", "RGBA", (3000, 2500)))),
        ],
        ["Figure 1: Drawn title", "Figure 2: A caption of 𝑥", "Figure 3: From metadata", "Figure 4", "Figure 5"],
        alternatives=["Drawn title", "What it shows", "Told by metadata", "A drawing with the words Own title, word"],
        warnings=["cell 5: a picture has no description"],
    ),
    "pictures in Markdown": Fixture(
        [
            markdown("![attached](attachment:a.png) text ![vector](attachment:b.svg)", a_png={"image/png": PNG}, b_svg={"image/svg+xml": base64.b64encode(SVG.format("").encode()).decode()}),
            markdown(f"<img src='data:image/png;base64,{PNG}' alt='in data' width=50%>"),
            markdown(f"<img src='data:image/bmp;base64,{picture('BMP')}' height=20>"),
            markdown("[![badge](https://example.org/b.svg)](https://example.org)"),
        ],
        ["text", "picture: badge", "https://example.org/b.svg"],
        alternatives=["attached", "vector", "in data", "picture"],
        warnings=["https://example.org/b.svg is on the network and is not fetched"],
    ),
    "JSON": Fixture([code("1", result(application_json={"key": [1, "æ"]}, text_plain="<IPython.core.display.JSON object>"))], ['"key": [', '"æ"'], ["IPython"]),
    "widget": Fixture(
        [code("1", new_output("display_data", {"application/vnd.jupyter.widget-view+json": {"model_id": "a"}, "text/plain": "IntSlider(value=3)"}))],
        ["IntSlider(value=3)"],
    ),
    "HTML without a table": Fixture([code("1", result(text_html="<b>Bold</b> words", text_plain="<IPython.core.display.HTML object>"))], ["Bold words"], ["IPython"]),
    "Markdown output": Fixture([code("1", result(text_markdown="**Shown** prose $\\pi$", text_plain="<Markdown>"))], ["Shown prose 𝜋"], ["<Markdown>"]),
    "interactive output": Fixture(
        [code("1", result(text_html="<div id='p'></div><script>plot()</script>", text_plain="<plot object>"))],
        ["<plot object>"],
        ["plot()"],
        warnings=["an output is interactive (text/html)"],
    ),
    "a broken picture beside text": Fixture(
        [code("1", result(image_png="bm90IGEgcGljdHVyZQ==", text_plain="<Figure size>"))],
        ["<Figure size>"],
        warnings=["a picture (image/png) is in no known picture format"],
    ),
    "a broken picture alone": Fixture(
        [code("1", result(**{"image_svg__xml": "<svg><g></svg>"}))],
        ["[an output that can't be printed: image/svg+xml]"],
        warnings=["a picture (image/svg+xml) is no valid SVG", "an output has no form that can be printed"],
    ),
    "a drawing that Typst refuses": Fixture(
        [code("1", result(**{"image_svg__xml": "<svg width='0' height='0'></svg>"}, image_png=PNG))],
        ["Figure 1"],
        warnings=["can't be drawn", "has no description"],
    ),
    "a drawing with a picture that is not there": Fixture(
        [code("1", result(**{"image_svg__xml": "<svg xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink' width='9' height='9'><image xlink:href='a.png' width='5' height='5'/></svg>"}, image_png=PNG))],
        ["Figure 1"],
        warnings=["can't be drawn (failed to load linked image a.png in SVG (file not found))", "has no description"],
    ),
    "no metadata": Fixture([markdown("plain"), new_code_cell("1")], ["plain", "1"]),
    "nothing": Fixture([]),
}  # fmt: skip


def export(cells, metadata=None, **settings):
    notebook = new_notebook(cells=cells, metadata=metadata or {})
    pdf, resources = HandinPDFExporter(**settings).from_notebook_node(notebook)
    return notebook, pdf, resources["warnings"]


def structure(pdf):
    """Every element of the structure tree with its kind and alternative text, in reading order."""

    def walk(node):
        node = node.get_object()
        if isinstance(node, list):
            for child in node:
                yield from walk(child)
        elif isinstance(node, dict) and "/S" in node:
            yield node["/S"].lstrip("/"), str(node.get("/Alt", ""))
            yield from walk(node.get("/K", NullObject()))

    return list(walk(root_of(pdf)["/StructTreeRoot"]["/K"]))


def root_of(pdf):
    return pypdf.PdfReader(io.BytesIO(pdf)).root_object


@pytest.mark.parametrize("name", FIXTURES)
def test_fixture(name):
    fixture = FIXTURES[name]
    notebook, pdf, warnings = export(fixture.cells)
    text, place = lossless.pdf_text(pdf), 0
    for passage in map(lossless.squeezed, fixture.holds):
        found = text.find(passage, place)
        assert found >= 0, f"{passage!r} is not in {text[place : place + 2000]!r}"
        place = found + len(passage)
    for passage in map(lossless.squeezed, fixture.lacks):
        assert passage not in text
    if name not in NOT_COMPARED:
        assert lossless.lost(notebook, pdf) == []
    alternatives = [alternative for kind, alternative in structure(pdf) if kind in ("Figure", "Formula")]
    assert all(alternatives)
    assert [text for text in fixture.alternatives if text not in alternatives] == []
    assert len(warnings) == len(fixture.warnings), warnings
    for expected in fixture.warnings:
        assert any(expected in warning for warning in warnings), warnings


NOT_COMPARED = {
    "footnotes",  # unknown to the renderer the comparison uses
    "carriage returns and backspaces",  # rewritten parts of a line are meant to be missing
    "a character no font has",
    "private characters",
    "anchors and footnotes in headings",
    "links in the header of a long table",
    "injection by a footnote's name",
    "deep nesting",
    "prices beside code",
    "a separator as a formula",
    "formulas that can't be broken",
    "scripts, styles and comments",
    "links",
    "prices",
    "smart quotes, dashes and Typst's own signs",
    "ANSI colours",
}
"""Fixtures whose own passages say it all."""


def test_there_are_at_least_forty_fixtures():
    assert len(FIXTURES) >= 40


@pytest.mark.parametrize("name", FIXTURES)
def test_nothing_is_printed_outside_the_margins(name):
    for page in pypdfium2.PdfDocument(export(FIXTURES[name].cells)[1]):
        letters = page.get_textpage()
        drawn = [index for index in range(letters.count_chars()) if letters.get_text_range(index, 1).strip()]
        boxes = [letters.get_charbox(index) for index in drawn]
        assert max((box[2] for box in boxes), default=0) <= page.get_width() - 56
        assert min((box[0] for box in boxes), default=99) >= 18  # execution counts stand in the margin
        assert min((box[1] for box in boxes), default=99) >= 18


def test_a_wrapped_line_shows_a_mark_that_is_no_text():
    _, pdf, _ = export([code(LONG_LINE)])
    page = pypdfium2.PdfDocument(pdf)[0]
    lines = page.get_textpage().get_text_range().split("\r\n")
    code_lines = [line for line in lines if "argument_" in line]
    assert len(code_lines) > 5
    assert "".join("".join(code_lines).split()) == "".join(LONG_LINE.split())
    red_marks = [item for item in page.get_objects() if item.type == pypdfium2.raw.FPDF_PAGEOBJ_PATH]
    assert len(red_marks) >= len(code_lines) - 1


@pytest.mark.parametrize(
    ("line", "columns", "pieces"),
    [
        ("short", 10, ["short"]),
        ("one two three four", 10, ["one two ", "three ", "four"]),
        ("call(first,second)", 12, ["call(first,", "second)"]),
        ("x" * 25, 10, ["x" * 10, "x" * 8, "x" * 7]),
        ("aaaaaaaaa-bbbb", 10, ["a" * 9, "-bbbb"]),  # some viewers drop a hyphen at the end of a line
        ("日本語日本語", 4, ["日本", "語", "日", "本", "語"]),
    ],
)
def test_lines_are_cut_after_blanks_or_signs(line, columns, pieces):
    cuts = [0, *line_pieces(line, columns), len(line)]
    assert [line[start:end] for start, end in itertools.pairwise(cuts)] == pieces


def test_tabs_in_code_are_kept_as_blanks():
    _, pdf, _ = export([code("if x:\n\ty = 1")])
    assert "if x:\n    y = 1\n" in pypdf.PdfReader(io.BytesIO(pdf)).pages[0].extract_text()


def test_spans_of_cells_are_kept():
    _, pdf, _ = export(FIXTURES["HTML table with spans"].cells)
    page = pypdfium2.PdfDocument(pdf)[0].get_textpage()
    places = {}
    for text in ("wide", "tall", "one", "two"):
        index, _ = page.search(text).get_next()
        places[text] = page.get_charbox(index)
    assert places["one"][0] == pytest.approx(places["two"][0], abs=0.5)  # below each other
    assert places["tall"][1] == pytest.approx(places["one"][1], abs=3)
    assert places["tall"][0] < places["wide"][0] < places["one"][0]  # centred over both columns


def test_short_lines_are_copied_as_they_are():
    source = "def f(x):\n    if x:\n        return [1,  2]\n    return 'a  b'  # c"
    _, pdf, _ = export([code(source, stream("  two\n    four"))])
    text = pypdf.PdfReader(io.BytesIO(pdf)).pages[0].extract_text()
    assert f"\n{source}\n  two\n    four\n" in text


@pytest.mark.parametrize("name", ["headings", "data frame", "pictures", "inline and display", "footnotes", "links"])
def test_the_pdf_claims_both_standards_and_is_tagged(name):
    _, pdf, _ = export(FIXTURES[name].cells, {"title": "A title"})
    root = root_of(pdf)
    metadata = root["/Metadata"].get_data().decode()
    for claim in ("<pdfuaid:part>1<", "<pdfaid:part>3<", "<pdfaid:conformance>A<", "<dc:title>"):
        assert claim in metadata
    assert root["/Lang"] == "en"
    assert root["/MarkInfo"]["/Marked"]
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]


def test_levels_of_headings_are_closed_up_and_are_bookmarks():
    sections = "\n\n".join(f"## Part {number}\n\n##### Deep {number}" for number in range(3))
    _, pdf, _ = export([markdown("# Title\n\n" + sections)])
    kinds = [kind for kind, _ in structure(pdf)]
    assert kinds.count("H1") == kinds.count("H2") == 3
    assert "TOC" in kinds
    outline = pypdfium2.PdfDocument(pdf).get_toc()
    assert [(item.level, item.get_title()) for item in outline][:2] == [(0, "Part 0"), (1, "Deep 0")]


def test_links_lead_to_their_target():
    _, pdf, _ = export(
        [markdown("[out](https://example.org) [in](#My-part) [nowhere](#none)\n\n# Other"), markdown("## My part")]
    )
    links = [link.get_object() for link in pypdf.PdfReader(io.BytesIO(pdf)).pages[0]["/Annots"]]
    assert len(links) == 2
    assert [link["/A"]["/URI"] for link in links if "/URI" in link.get("/A", {})] == ["https://example.org"]


def test_a_figure_and_a_table_are_tagged_with_their_caption():
    _, pdf, _ = export([*FIXTURES["pictures"].cells[:1], *FIXTURES["data frame"].cells])
    kinds = [kind for kind, _ in structure(pdf)]
    assert kinds.count("Caption") == 2
    assert {"Table", "THead", "TH", "TBody", "TD", "Figure", "Code"} <= set(kinds)


def test_a_table_over_several_pages_repeats_its_header():
    _, pdf, _ = export(FIXTURES["long data frame"].cells)
    pages = [page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(pdf)]
    assert len(pages) >= 3
    assert all("heading" in page for page in pages)


def test_numbers_are_set_right():
    _, pdf, _ = export(FIXTURES["data frame"].cells)
    page = pypdfium2.PdfDocument(pdf)[0].get_textpage()
    right_edges = []
    for text in ("score", "0.87"):
        index, count = page.search(text).get_next()
        right_edges.append(page.get_charbox(index + count - 1)[2])
    assert right_edges[0] == pytest.approx(right_edges[1], abs=1.5)


def test_code_is_broken_between_pages_at_blank_lines():
    passage = "\n".join(f"step_{number} = {number}" for number in range(30))
    _, pdf, _ = export([code("\n\n".join([passage] * 6))])
    for page in pypdfium2.PdfDocument(pdf):
        steps = [line for line in page.get_textpage().get_text_range().split("\r\n") if "step_" in line]
        assert len(steps) % 30 == 0


def test_the_title_block_tells_group_course_date_and_seed():
    handin = {"Course": "Deep learning", "Group": "7, The æs", "Run": "2026-01-02", "Seed": "3"}
    _, pdf, _ = export([markdown("# The title"), markdown("text")], {"handin": handin})
    text = lossless.pdf_text(pdf)
    assert text.startswith("ThetitleCourse:DeeplearningGroup:7,TheæsRun:2026-01-02Seed:3")
    assert text.count("Thetitle") == 1


def test_pages_are_numbered_and_headed():
    pdf = export([markdown("# The title\n\n" + "word " * 3000)])[1]
    pages = [page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(pdf)]
    assert f"page 2 of {len(pages)}" in pages[1]
    assert "The title" in pages[1]


def test_the_notebook_is_attached_as_it_is(tmp_path):
    path = tmp_path / "own.ipynb"
    path.write_text(json.dumps(new_notebook(cells=[markdown("æ")]), indent=7, ensure_ascii=False), encoding="utf-8")
    pdf, _ = HandinPDFExporter().from_filename(str(path))
    assert dict(pypdf.PdfReader(io.BytesIO(pdf)).attachments) == {"own.ipynb": [path.read_bytes()]}
    assert root_of(pdf)["/AF"][0]["/AFRelationship"] == "/Source"
    assert typeset_file(path) == (pdf, [])
    without, _ = HandinPDFExporter(attach_notebook=False).from_filename(str(path))
    assert not pypdf.PdfReader(io.BytesIO(without)).attachments


def test_what_a_preprocessor_made_of_the_notebook_is_printed_and_attached():
    def execute(notebook, resources):
        notebook.cells[0].outputs = [stream("executed")]
        return notebook, resources

    exporter = HandinPDFExporter()
    exporter.register_preprocessor(execute, enabled=True)
    pdf, _ = exporter.from_notebook_node(new_notebook(cells=[code("1")]))
    assert lossless.pdf_text(pdf).endswith("[1]1executed")
    (attached,) = dict(pypdf.PdfReader(io.BytesIO(pdf)).attachments)["Notebook.ipynb"]
    assert b"executed" in attached


def test_the_same_notebook_gives_the_same_bytes(monkeypatch):
    cells = [cell for fixture in ("pictures", "Unicode", "data frame") for cell in FIXTURES[fixture].cells]
    notebook = new_notebook(cells=cells)
    first, second = (HandinPDFExporter().from_notebook_node(notebook)[0] for _ in range(2))
    assert first == second
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    dated = HandinPDFExporter().from_notebook_node(notebook)[0]
    assert dated != first
    assert pypdf.PdfReader(io.BytesIO(dated)).metadata["/CreationDate"].startswith("D:20231114")


def test_a_date_that_is_none_is_named(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "today")
    with pytest.raises(ConversionException, match="SOURCE_DATE_EPOCH is 'today', expected seconds since 1970"):
        export([markdown("x")])


def test_long_outputs_are_shortened_only_when_asked():
    cell = code("1", stream("\n".join(f"line {number}" for number in range(1000))))
    assert "line999" in lossless.pdf_text(export([cell])[1])
    text = lossless.pdf_text(export([cell], max_output_lines=10)[1])
    assert "line9..." in text
    assert "line10" not in text
    assert "990morelinesleftout" in text


def test_the_command_refuses_a_negative_number_of_lines():
    command = [sys.executable, "-m", "pipeline.make_pdf", "x.ipynb", "--max-output-lines", "-1"]
    done = subprocess.run(command, cwd=files.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--max-output-lines is -1, expected 0 or more" in done.stderr


FAULTS = {
    "a missing picture": ([markdown("# T"), markdown("![x](no/such.png)")], r"cell 2: the picture 'no/such\.png' can't be read"),
    "a missing attachment": ([markdown("![x](attachment:a.png)")], "cell 1: the attachment 'a.png' is missing"),
    "a picture that is none": ([markdown("![x](data:image/png;base64,AAAA)")], "cell 1: the picture in a data address is in no known"),
    "a heading nested too deeply": ([markdown(f"# <span style='color: {'(' * 3000}'>x</span>")], "cell 1: it is nested too deeply"),
    "a table of too many columns": ([code("1", result(text_html=f"<table><tr>{'<td>x</td>' * 3000}</tr></table>"))], "cell 1: a table has more than"),
    "a table of too many places": (
        [code("1", result(text_html=f"<table><tr>{'<td rowspan=0 colspan=1000>x</td>' * 2}</tr>{'<tr></tr>' * 3000}</table>"))],
        "cell 1: a table has more than",
    ),
    "a picture not in base 64": ([markdown("![x](attachment:a.png)", a_png={"image/png": "A"})], "cell 1: a picture"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_names_the_file_and_the_cell(name, tmp_path):
    cells, message = FAULTS[name]
    path, pdf = tmp_path / "bad.ipynb", tmp_path / "bad.pdf"
    nbformat.write(new_notebook(cells=cells), path)
    pdf.write_bytes(b"the last good one")
    with pytest.raises(UserError, match=rf"^bad\.ipynb, {message}"):
        make_pdf(path, pdf)
    assert pdf.read_bytes() == b"the last good one"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["bad.ipynb", "bad.pdf"]


def test_a_fault_of_the_exporter_is_told_in_a_sentence(tmp_path, monkeypatch):
    nbformat.write(new_notebook(cells=[markdown("# T"), code("1", stream("x"))]), tmp_path / "n.ipynb")
    monkeypatch.setattr("pipeline.handin_pdf.document.typst_output", lambda *_: 1 / 0)
    with pytest.raises(
        UserError, match=r"^n\.ipynb, cell 2 can't be typeset, which is the exporter's fault \(ZeroDivisionError: .*\)$"
    ):
        make_pdf(tmp_path / "n.ipynb", tmp_path / "n.pdf")


@pytest.mark.fault("a notebook that takes for ever, or all memory")
@pytest.mark.skipif(sys.platform != "linux", reason="not every system has such limits")
@pytest.mark.parametrize(("limit", "value"), [("PROCESSOR_SECONDS", "1"), ("MEMORY", "250 << 20")])
def test_an_export_beyond_its_limits_is_ended_with_a_sentence(tmp_path, limit, value):
    """A lexer needs twice as long for each more of these signs; and there is no room for a document of this length."""
    cells = (
        [markdown('```fish\n"' + "\\" * 60 + "\n```")] if limit == "PROCESSOR_SECONDS" else [markdown("word " * 10**6)]
    )
    nbformat.write(new_notebook(cells=cells), tmp_path / "n.ipynb")
    (tmp_path / "n.pdf").write_bytes(b"the last good one")
    script = f"import pipeline.make_pdf as m; m.{limit} = {value}; m.run_command(m.main)"
    command = [sys.executable, "-c", script, str(tmp_path / "n.ipynb")]
    done = subprocess.run(command, cwd=files.ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    sentence = (
        "can't be typeset within 1 seconds of a core" if limit == "PROCESSOR_SECONDS" else "needs more (than|memory)"
    )
    assert re.search(rf"error: .*n.ipynb {sentence}", done.stderr)
    assert "Traceback" not in done.stderr
    assert (tmp_path / "n.pdf").read_bytes() == b"the last good one"


def test_a_pdf_is_never_written_through_a_link(tmp_path):
    nbformat.write(new_notebook(cells=[markdown("# T")]), tmp_path / "n.ipynb")
    (tmp_path / "precious").write_text("mine")
    (tmp_path / ".n.pdf.new").symlink_to(tmp_path / "precious")
    make_pdf(tmp_path / "n.ipynb", tmp_path / "n.pdf")
    assert (tmp_path / "precious").read_text() == "mine"
    assert not (tmp_path / "n.pdf").is_symlink()


def test_a_missing_picture_can_be_described_instead():
    _, pdf, warnings = export([markdown("![a cat](no.png)")], missing_pictures="describe")
    assert "picture:acat" in lossless.pdf_text(pdf)
    assert "the picture 'no.png' can't be read" in warnings[0]


def test_a_picture_beside_the_notebook_is_found(tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a b.png").write_bytes(base64.b64decode(PNG))
    nbformat.write(new_notebook(cells=[markdown("![two words](pictures/a%20b.png)")]), tmp_path / "n.ipynb")
    pdf, _ = HandinPDFExporter().from_filename(str(tmp_path / "n.ipynb"))
    assert ("Figure", "two words") in structure(pdf)


NO_NOTEBOOKS = {
    "not JSON": "this is text",
    "not a notebook": '{"a": 1}',
    "an unknown format": '{"nbformat": 99, "nbformat_minor": 0, "metadata": {}, "cells": []}',
    "a cell without source": '{"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [{"cell_type": "markdown", "metadata": {}}]}',
    "empty": "",
    "bytes": "\udcff\udcfe",
}  # fmt: skip


@pytest.mark.parametrize("name", NO_NOTEBOOKS)
@pytest.mark.parametrize("command", [["pipeline.make_pdf"], ["nbconvert", "--to", "handin_pdf"]])
def test_a_file_that_is_no_notebook_gets_a_sentence(name, command, tmp_path):
    path = tmp_path / "bad.ipynb"
    path.write_bytes(NO_NOTEBOOKS[name].encode(errors="surrogateescape"))
    done = subprocess.run(
        [sys.executable, "-m", *command, str(path)], cwd=files.ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "bad.ipynb" in done.stderr
    assert "Traceback" not in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["bad.ipynb"]


def test_notebooks_of_format_3_and_without_metadata_are_read(tmp_path):
    path = tmp_path / "old.ipynb"
    cells = [
        {"cell_type": "heading", "level": 1, "source": ["Old title"]},
        {"cell_type": "code", "language": "python", "collapsed": False, "prompt_number": 4, "input": ["print(1)"],
         "outputs": [{"output_type": "stream", "stream": "stdout", "text": ["one\n"]}]},
    ]  # fmt: skip
    path.write_text(
        json.dumps({"metadata": {"name": ""}, "nbformat": 3, "nbformat_minor": 0, "worksheets": [{"cells": cells}]})
    )
    assert lossless.pdf_text(HandinPDFExporter().from_filename(str(path))[0]).startswith("Oldtitle[4]print(1)one")
    path.write_text('{"nbformat": 4, "nbformat_minor": 5, "cells": [{"cell_type": "code", "source": "x = 1"}]}')
    assert "x=1" in lossless.pdf_text(HandinPDFExporter().from_filename(str(path))[0])


ODDITIES = [
    {"language_info": None, "kernelspec": None, "authors": None, "papermill": None},
    {"language_info": "python", "authors": [{"name": 5}, "Ann"], "handin": ["a"], "title": 5, "lang": "en-US"},
    {"authors": "Ann", "handin": {"Group": None}, "title": ["a"], "lang": 5, "papermill": {"start_time": 5}},
]


@pytest.mark.parametrize("metadata", ODDITIES)
def test_odd_metadata_does_no_harm(metadata, tmp_path):
    path = tmp_path / "odd.ipynb"
    cells = [
        {"cell_type": "markdown", "source": ["a\n", "b"], "metadata": {"tags": 5}, "attachments": {"a.png": "x"}},
        {"cell_type": "code", "source": "c", "metadata": {"tags": [["a"]]}, "execution_count": "x", "outputs": [
            {"output_type": "display_data", "data": {"image/png": None, "text/plain": "d"}, "metadata": None},
            {"output_type": "error", "traceback": "line one"}, {"output_type": "stream", "text": ["e\ud800"]}]},
    ]  # fmt: skip
    text = json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": metadata, "cells": cells})
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    pdf, _ = typeset_file(path)
    assert lossless.pdf_text(pdf).endswith("ab[x]cdlineonee\ufffd")
    assert root_of(pdf)["/Lang"] == "en"


def test_a_picture_on_its_side_is_as_wide_as_it_is_shown():
    content = io.BytesIO()
    image = Image.new("RGB", (200, 50))
    exif = image.getexif()
    exif[274] = 6
    image.save(content, "JPEG", exif=exif)
    assert Pictures(Path()).add(content.getvalue()).width == 50 * 0.75


@pytest.mark.parametrize("name", ["/dev/zero", "a%00b.png", "."])
def test_only_files_are_read_as_pictures(name):
    with pytest.raises(ConversionException, match=r"^Notebook\.ipynb, cell 1: the picture"):
        export([markdown(f"![x]({name})")])


def test_nbconvert_finds_the_exporter_by_its_name(tmp_path):
    path = tmp_path / "tiny.ipynb"
    nbformat.write(new_notebook(cells=[new_markdown_cell("# Tiny")]), path)
    command = [sys.executable, "-m", "nbconvert", "--to", "handin_pdf", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    assert "Tiny" in lossless.pdf_text((tmp_path / "tiny.pdf").read_bytes())


REPORTS = sorted(files.REPORTS_FOLDER.glob("part*.ipynb"))


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.stem)
def test_the_reports_lose_nothing_and_describe_every_figure(path):
    pdf = path.with_suffix(".pdf").read_bytes()
    notebook = nbformat.read(path, as_version=4)
    assert lossless.lost(notebook, pdf) == []
    figures = [alternative for kind, alternative in structure(pdf) if kind == "Figure"]
    assert len(figures) >= 3
    assert all(len(alternative) > 80 for alternative in figures)
    assert "Outputofcell" not in lossless.pdf_text(pdf)
    most = {"part1_mnist": 12, "part2_fashion_mnist": 14, "part3_experiments": 9}
    assert len(pypdfium2.PdfDocument(pdf)) <= most[path.stem]


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.stem)
def test_the_reports_pdf_can_be_made_again(path):
    pdf = path.with_suffix(".pdf").read_bytes()
    again, warnings = typeset_file(path)
    assert warnings == []
    to_do = f"the PDF is of another exporter: python -m pipeline.make_pdf {path.relative_to(files.ROOT)}"
    assert lossless.pdf_text(again) == lossless.pdf_text(pdf), to_do
    if (platform.system(), platform.machine()) == ("Linux", "x86_64"):  # other processors may round differently
        assert again == pdf, to_do


def test_the_readmes_command_takes_the_notebook_out(tmp_path):
    readme = (files.ROOT / "README.md").read_text(encoding="utf-8")
    code = re.search(r'python -c "(import pypdf.*)"', readme)[1]
    (tmp_path / "reports").mkdir()
    shutil.copy(REPORTS[0].with_suffix(".pdf"), tmp_path / "reports" / "part1_mnist.pdf")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert (tmp_path / "part1_mnist.ipynb").read_bytes() == REPORTS[0].read_bytes()
