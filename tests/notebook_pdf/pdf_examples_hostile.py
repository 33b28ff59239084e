"""Examples of notebooks that try to break the exporter: injected code, damaged parts, extreme sizes and depths."""

from tests.notebook_pdf.pdf_helpers import LARGE_PICTURE, PNG, Example, code, markdown, result, stream

HOSTILE = {
    "deep nesting": Example(
        [
            markdown("\n".join("  " * depth + f"- item{depth}." for depth in range(15))),
            markdown(">" * 30 + " quoted"),
            markdown("<div>" * 300 + "inside" + "<font color=red><p>" * 300 + "unclosed"),
        ],
        ["item0.", "item9.", "item14.", "quoted", "inside", "unclosed"],
        compare=False,
    ),
    "injection by a footnote's name": Example(
        [
            markdown(
                "<section class='footnotes'><li class='footnote-item' id='a\")#panic(1)#(\"'>note</li></section><sup "
                "class='footnote-ref'><a href='#a\")#panic(1)#(\"'>1</a></sup>"
            )
        ],
        ["note"],
        ["panic"],
        compare=False,
    ),
    "span over more columns than the table has": Example(
        [markdown("<table><tr><th colspan='100'>Title</th></tr><tr><td>a</td><td colspan='²'>b</td></tr></table>")],
        ["Title", "a", "b"],
        ["part"],
    ),
    "large pictures in a line, a list and a table": Example(
        [
            markdown(
                f"a ![wide]({LARGE_PICTURE}) b\n\n- c <img src='{LARGE_PICTURE}' width='100%'> d\n\n| e "
                f"![x]({LARGE_PICTURE}) | ![y]({LARGE_PICTURE}) f |\n|-|-|\n| g | h |"
            ),
            markdown(f"<img src='{LARGE_PICTURE}' height='9000'> <img src='{LARGE_PICTURE}' width='1.2.3'>"),
        ],
        ["a", "b", "c", "d", "e", "f", "g", "h"],
    ),
    "Typst code in formulas": Example(
        [
            markdown(
                r"a $$x\phantom{\text{#panic(1)}}$$ b $\hphantom {\text{]#panic(2)#[}}y$ c $\boxed{\text{#panic(3)}}$ d $\phantom#$"  # noqa: E501
            )
        ],
        ["a", "b", "c", "#panic(3)", "d", "\\phantom#"],
        warnings=["the formula \\phantom# can't be typeset"],
    ),
    "Typst code in quotation marks": Example(
        [
            markdown(r"""$$\mathop{\text{"}}\operatorname{\text{"#panic(1)}}\operatorname{\text{"}}$$"""),
            markdown(r"""$$\operatorname{\text{"\textbackslash#h(1em)#panic(7)"}}$$"""),
        ],
        ["#panic(1)", "#panic(7)"],
        warnings=["can't be typeset", "can't be typeset"],
    ),
    "hundreds of open brackets": Example([markdown("a " + "[" * 400)], ["a"]),
    "60 nested lists": Example(
        [markdown("\n".join(f"{'  ' * level}- item{level}" for level in range(60)))],
        [f"item{level}" for level in range(60)],
    ),
    "colours out of range": Example(
        [
            code(
                "1",
                result(
                    text_html=f"<p style='color: rgb(1e400%,0%,0%)'>a</p><p style='color: rgb({'9' * 400},0,0)'>b</p>"
                    "<table><tr><td style='background-color: hsl(1e400,1%,1%)'>c</td></tr></table>"
                ),
                stream(f"\x1b[38;2;{'9' * 400};0;0md\x1b[0m"),
            )
        ],
        ["a", "b", "c", "d"],
    ),
    "unclosed formula": Example([markdown("a\n\n$$" + "\\\\" * 400)], ["a"]),
    "caption with much white space": Example(
        [code(f"#| fig-cap: one{' ' * 40_000}two\n#| fig-alt:  \n1", result(image_png=PNG))],
        ["Figure 1: one two"],
        alternatives=["one two"],
    ),
    "placeholders as entities": Example(
        [code("1", result(text_html="<p>a<code>&#xfdd0;99&#xfdd1;</code>b</p>"))], ["a", "b"]
    ),
    "nested empty elements": Example([markdown(f"a\n\n{'<div>' * 22}{'</div>' * 22}\n\nb")], ["a", "b"]),
    "invalid width": Example(
        [code("1", result({"image/png": {"width": 10**400}}, image_png=PNG, text_plain="x"))],
        ["Figure 1"],
        warnings=["has no description"],
    ),
    "separator in formulas": Example(
        [markdown("$x %%formula%% y$ $\\text{%%formula%%}$ and $z$")],
        ["and𝑧"],
        warnings=["the formula x %%formula%% y can't be typeset"],
        compare=False,
    ),
    "Typst code in code and output": Example(
        [
            code(
                '#read("x") $(id) "; import os \\evil{} // c *b* @r <l> `w` {{ nb }} {% x %}',
                stream('#panic("y") \\u{41}'),
            )
        ],
        ['#read("x") $(id) "; import os \\evil{} // c *b* @r <l> `w` {{ nb }} {% x %}', '#panic("y") \\u{41}'],
    ),
}
