"""Examples of rich outputs."""

import base64

from nbformat.v4 import new_output

from tests.notebook_pdf.pdf_helpers import PNG, SVG, Example, code, picture, result

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
    "<style>#T_a_row0_col0 "
    "{color: "
    "#ff0000; font-weight: bold; background-color: "
    "yellow}</style>"
    "<table id='T_a'><caption>Styled scores</caption><tr><th>k</th></tr><tr><td "
    "id='T_a_row0_col0'>0.5</td></tr></table>"
)
SUMMARY = (
    "┏━━━━━━━━━━┳━━━━━━━━━┓\n┃\x1b[1m Layer    \x1b[0m┃ Param # ┃\n┡━━━━━━━━━━╇━━━━━━━━━┩\n│ conv2d   │     156 │\n"
    "│ (Conv2D) │         │\n├──────────┼─────────┤\n│ dense    │  48,120 │\n└──────────┴─────────┘\n"
)

OUTPUTS = {
    "data frame": Example(
        [code("table", result(text_html=DATA_FRAME, text_plain="unused"))],
        ["Table 1", "name", "score", "0", "T-shirt/top", "0.87", "1 rows × 2 columns"],
        ["unused", "color"],
    ),
    "styled data frame": Example(
        [code("s", result(text_html=STYLER))], ["Table 1: Styled scores", "k", "0.5"], ["T_a"]
    ),
    "wide data frame": Example(
        [code("w", result(text_html=WIDE_FRAME))], ["part 1 of", "feature_number_0", "part 2 of", "feature_number_39"]
    ),
    "long data frame": Example([code("l", result(text_html=LONG_FRAME))], ["line0", "line100", "line199"]),
    "model summary": Example(
        [
            code(
                "m",
                result(text_html="<pre>Model</pre>", text_plain='Model: "net"\n'),
                result(text_html="<pre>t</pre>", text_plain=SUMMARY),
                result(text_html="<pre>p</pre>", text_plain="Total: 9\n"),
            )
        ],
        ['Table 1: Model: "net"', "Layer", "Param #", "conv2d (Conv2D)", "156", "dense", "48,120", "Total: 9"],
        ["┃", "│"],
    ),
    "pictures": Example(
        [
            code("plt.title('Drawn title')", result(image_png=PNG, text_plain="<Figure>")),
            code("#| fig-cap: A **caption** of $x$\n#| fig-alt: What it shows", result(image_jpeg=picture("JPEG"))),
            code(
                "3",
                result(
                    {"caption": "From metadata", "alt": "Alternative from metadata"},
                    **{"image_svg__xml": SVG.format("")},
                ),
            ),
            code("4", result(**{"image_svg__xml": SVG.format("<title>Own title</title><text y='9'>word</text>")})),
            code("5", result(image_gif=picture("GIF", "P"), image_png=picture("PNG", "RGBA", (3000, 2500)))),
        ],
        ["Figure 1: Drawn title", "Figure 2: A caption of 𝑥", "Figure 3: From metadata", "Figure 4", "Figure 5"],
        alternatives=[
            "Drawn title",
            "What it shows",
            "Alternative from metadata",
            "A drawing with the words Own title, word",
        ],
        warnings=["cell 5: a picture has no description"],
    ),
    "JSON": Example(
        [code("1", result(application_json={"key": [1, "æ"]}, text_plain="<IPython.core.display.JSON object>"))],
        ['"key": [', '"æ"'],
        ["IPython"],
    ),
    "widget": Example(
        [
            code(
                "1",
                new_output(
                    "display_data",
                    {"application/vnd.jupyter.widget-view+json": {"model_id": "a"}, "text/plain": "IntSlider(value=3)"},
                ),
            )
        ],
        ["IntSlider(value=3)"],
    ),
    "HTML without a table": Example(
        [code("1", result(text_html="<b>Bold</b> words", text_plain="<IPython.core.display.HTML object>"))],
        ["Bold words"],
        ["IPython"],
    ),
    "Markdown output": Example(
        [code("1", result(text_markdown="**Shown** prose $\\pi$", text_plain="<Markdown>"))],
        ["Shown prose 𝜋"],
        ["<Markdown>"],
    ),
    "interactive output": Example(
        [code("1", result(text_html="<div id='p'></div><script>plot()</script>", text_plain="<plot object>"))],
        ["<plot object>"],
        ["plot()"],
        warnings=["an output is interactive (text/html)"],
    ),
    "damaged picture beside text": Example(
        [code("1", result(image_png="bm90IGEgcGljdHVyZQ==", text_plain="<Figure size>"))],
        ["<Figure size>"],
        warnings=["a picture (image/png) is not in a supported picture format"],
    ),
    "damaged picture alone": Example(
        [code("1", result(**{"image_svg__xml": "<svg><g></svg>"}))],
        ["[an output that can't be printed: image/svg+xml]"],
        warnings=["a picture (image/svg+xml) is not a valid SVG", "an output has no form that can be printed"],
    ),
    "drawing without size": Example(
        [code("1", result(**{"image_svg__xml": "<svg width='0' height='0'></svg>"}, image_png=PNG))],
        ["Figure 1"],
        warnings=["can't be drawn", "has no description"],
    ),
    "drawing with a missing picture": Example(
        [
            code(
                "1",
                result(
                    **{
                        "image_svg__xml": "<svg xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink' width='9' height='9'><image xlink:href='a.png' width='5' height='5'/></svg>"  # noqa: E501
                    },
                    image_png=PNG,
                ),
            )
        ],
        ["Figure 1"],
        warnings=["can't be drawn (failed to load linked image a.png in SVG (file not found))", "has no description"],
    ),
    "picture in PostScript": Example(
        [
            code(
                "1",
                result(
                    image_png=base64.b64encode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n").decode(),
                    text_plain="x",
                ),
            )
        ],
        ["x"],
        warnings=["is not in a supported picture format"],
    ),
    "data frame with a named index": Example(
        [
            code(
                "1",
                result(
                    text_html="<table><thead><tr><th></th><th>score</th></tr><tr><th>name</th><th></th></tr></thead>"
                    "<tbody><tr><th>one</th><td>1</td></tr></tbody></table>"
                ),
            )
        ],
        ["Table 1", "name score", "one 1"],
    ),
    "other kinds of text": Example([code("1", result(text_vnd_graphviz="digraph"))], ["digraph"]),
}
