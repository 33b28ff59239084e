"""Examples of Markdown cells."""

import base64

from nbformat.v4 import new_code_cell

from tests.notebook_pdf.pdf_helpers import PNG, SVG, Example, markdown, picture

SPANS = (
    "<table><tr><th colspan=2>wide</th></tr><tr><td rowspan=2>tall</td><td>one</td></tr><tr><td>two</td></tr></table>"
)

MARKDOWN = {
    "headings": Example(
        [markdown("# One\n\n## Two\n\n#### Four\n\ntext\n\nFive\n====")], ["One", "Two", "Four", "Five"]
    ),
    "nested lists": Example(
        [markdown("- a\n  - b\n    1. c\n    2. d\n\n       more\n- e\n\n7. seven\n8. eight")],
        ["•a", "b", "1.c", "2.d", "more", "e", "7.seven", "8.eight"],
    ),
    "task list": Example([markdown("- [ ] to do\n- [x] done")], ["☐todo", "☑done"]),
    "aligned table": Example(
        [markdown("| left | mid | right |\n|:--|:-:|--:|\n| a \\| b | `code` | 1.5 |\n| $x$ | **bold** | 22 |")],
        ["left", "mid", "right", "a|b", "code", "1.5", "𝑥", "bold", "22"],
    ),
    "block quotes": Example([markdown("> outer\n>\n> > inner")], ["outer", "inner"]),
    "footnotes": Example(
        [markdown("Text[^1] and again[^1] and[^b].\n\n[^1]: First *note*.\n[^b]: Second note.")],
        ["Text", "and again", "First note.", "Second note."],
        ["[^1]"],
        compare=False,
    ),
    "links": Example(
        [
            markdown(
                "[site](https://example.org/a?b=c&d), <https://auto.example.org>, www.bare.example.org, "
                "[r][1]\n\n[1]: /x"
            )
        ],
        ["site", "https://auto.example.org", "www.bare.example.org", "r"],
        compare=False,
    ),
    "emphasis": Example(
        [markdown("*a* **b** ***c*** ~~d~~ `e  f` \\*g\\* snake_case_name")], ["a", "b", "*g*", "snake_case_name"]
    ),
    "inline HTML": Example(
        [
            markdown(
                "H<sub>2</sub>O<br>x<sup>2</sup> <b>bold</b> <i>it</i> <u>un</u> <mark>ma</mark> <kbd>Ctrl</kbd> "
                "<font color='red'>red</font> <span style='color:#ff0'>yellow</span>"
            )
        ],
        ["H2O", "x2", "bold", "it", "un", "ma", "Ctrl", "red", "yellow"],
    ),
    "details": Example(
        [markdown("<details><summary>Click me</summary>\n\nHidden **text**\n\n</details>")], ["Click me", "Hidden text"]
    ),
    "HTML blocks": Example(
        [
            markdown(
                "<div "
                "align='center'><p>one<p>two<ul><li>three<li>four</ul></div>\n\n<center>five</center>\n<dl><dt>t<dd>d</dl>"
            )
        ],
        ["one", "two", "three", "four", "five", "t", "d"],
    ),
    "HTML table with spans": Example([markdown(SPANS)], ["wide", "tall", "one", "two"]),
    "scripts, styles and comments": Example(
        [
            markdown(
                "seen<script>alert('script')</script><style>p {color: stylesheet}</style><!-- comment --> also seen"
            )
        ],
        ["seen", "also seen"],
        ["script", "stylesheet", "comment"],
        compare=False,
    ),
    "embedded video": Example(
        [markdown("<iframe src='https://www.example.org/embed/x'></iframe>")], ["https://www.example.org/embed/x"]
    ),
    "code blocks": Example(
        [
            markdown(
                "```python\ndef f(x):\n    return '$no mathematics$'  # ``\n```\n\n    indented "
                "$too$\n\n~~~\n<b>&amp;\n~~~"
            )
        ],
        ["def f(x):", "return '$no mathematics$'  # ``", "indented $too$", "<b>&amp;"],
    ),
    "quotes, dashes and Typst's syntax": Example(
        [markdown('"quoted" it\'s -- #read("x") $ 5 @ref <label> // no comment * _ ` ~ = + / [x] #set #let \\#')],
        ['"quoted" it\'s -- #read("x")', "@ref", "// no comment * _ ` ~ = + / [x] #set #let #"],
        compare=False,
    ),
    "prices": Example([markdown("It costs $5 and $10, or \\$3.")], ["It costs $5 and $10, or $3."], compare=False),
    "prices beside code": Example(
        [markdown("It costs $5, see `$HOME` and `x`. `\ufdd00\ufdd1` \ufdd00\ufdd1")],
        ["It costs $5, see $HOME and x."],
        compare=False,
    ),
    "long address": Example([markdown("https://example.org/" + "a" * 200)], ["a" * 200]),
    "anchors and footnotes in headings": Example(
        [
            markdown(
                "# T\n[go](#a) [up](#top)\n## A <a class='anchor' id='a'></a>[^1]\n## B <a name='top'/>\n## C\n## "
                "D\ntext[^1]\n\n[^1]: note"
            )
        ],
        ["T", "A", "B", "C", "D", "goupA1", "B", "C", "D", "text2", "1note2note"],
        compare=False,
    ),
    "links in the header of a long table": Example(
        [markdown("|[Name](http://a.b)|b[^1]|\n|-|-|\n" + "|x|y|\n" * 100 + "\n\n[^1]: note")],
        ["Name", "x", "y", "note"],
        compare=False,
    ),
    "code and long words in a table": Example(
        [
            markdown(
                "| Name | Type | Values | Since | More | Default |\n|---|---|---|---|---|---|\n"
                + "| `learning_rate_schedule` | `Optional[Callable]` | `'constant'`, `'linear_warmup'` | `sklearn.linear_model.LogisticRegr` | `nn.Conv2d_abc` | `2.13.0` |\n"  # noqa: E501
            ),
            markdown(
                "| "
                + " | ".join(["W" * 39] * 4)
                + " |\n|---|---|---|---|\n| "
                + " | ".join([f"`{'W' * 39}`"] * 4)
                + " |"
            ),
        ],
        ["learning_rate_schedule", "Optional[Callable]", "W" * 39],
    ),
    "terminal session": Example(
        [markdown("```console\n$ ls\nlast line\n```\n\n```console\n$ make report\n```")],
        ["$ ls", "last line", "$ make report"],
    ),
    "line breaks in HTML code": Example(
        [markdown("<pre>one<br>two</pre> <code>three<br>four</code>")], ["one", "two", "three", "four"]
    ),
    "data as a link": Example(
        [markdown(f"<a download='x.csv' href='data:text/csv;base64,{'A' * 9000}'>Download</a>")],
        ["Download"],
        warnings=["a link contains data instead of an address"],
    ),
    "pictures in Markdown": Example(
        [
            markdown(
                "![attached](attachment:a.png) text ![vector](attachment:b.svg)",
                a_png={"image/png": PNG},
                b_svg={"image/svg+xml": base64.b64encode(SVG.format("").encode()).decode()},
            ),
            markdown(f"<img src='data:image/png;base64,{PNG}' alt='in data' width=50%>"),
            markdown(f"<img src='data:image/bmp;base64,{picture('BMP')}' height=20>"),
            markdown("[![badge](https://example.org/b.svg)](https://example.org)"),
        ],
        ["text", "picture: badge", "https://example.org/b.svg"],
        alternatives=["attached", "vector", "in data", "picture"],
        warnings=["https://example.org/b.svg is on the network and is not downloaded"],
    ),
    "no metadata": Example([markdown("plain"), new_code_cell("1")], ["plain", "1"]),
    "no cells": Example([]),
    "drawings in HTML": Example(
        [
            markdown("text <svg width='9' height='9'><title>titled</title><rect width='5' height='5'/></svg>"),
            markdown("<svg width='9' aria-label='labelled' height='9'><foreignObject>words</foreignObject></svg>"),
            markdown("<svg width='0' height='0'><defs></defs></svg> after"),
            markdown("<svg width='9' height='9'><image href='no.png' width='5' height='5'/></svg>"),
        ],
        ["text", "after", "picture: drawing"],
        alternatives=["titled", "labelled"],
        warnings=["cell 2: a drawing contains HTML, which is not printed: words", "cell 4: a drawing can't be drawn"],
    ),
    "picture without address": Example([markdown("<img alt='nothing to see'> text")], ["nothing to see text"]),
    "MathML": Example(
        [
            markdown(
                "<math><semantics><mi>x</mi><annotation "
                "encoding='application/x-tex'>\\alpha</annotation></semantics></math> and <math><mi>y</mi></math>"
            )
        ],
        ["𝛼", "and", "y"],
        compare=False,
    ),
    "rarely used elements": Example(
        [
            markdown("<textarea>typed</textarea>\n<figure><figcaption>below</figcaption></figure>"),
            markdown(
                "<p><q>quoted</q> long<wbr>word <input type='submit' value='Send'> <input type='hidden' value='no'></p>"
            ),
            markdown("<ol type='a' start='3'>\n<li>third</li>\n<ul><li>inner</li></ul>\nloose\n</ol>"),
            markdown("<span style='font-weight: bold; font-style: italic; text-decoration: underline'>styled</span>"),
            markdown("<div style='color: #c00; text-align: right'>red</div>\n<video></video>"),
        ],
        ["typed", "below", "“quoted”", "longword", "Send", "c. third", "inner", "loose", "styled", "red", "[video]"],
        warnings=["a video can't be printed"],
        compare=False,
    ),
    "links that lead nowhere": Example(
        [markdown("<a href='javascript:x()'>script</a> <a href='#'>top</a> <a href='https://example.org'></a> end")],
        ["script top end"],
    ),
}
