"""Examples of code cells and text outputs."""

from nbformat.v4 import new_markdown_cell, new_output, new_raw_cell

from tests.notebook_pdf.pdf_helpers import Example, code, markdown, stream

LONG_LINE = "call(" + ", ".join(f"argument_{number}={number}" for number in range(40)) + ")"
SUMMARY = (
    "┏━━━━━━━━━━┳━━━━━━━━━┓\n┃\x1b[1m Layer    \x1b[0m┃ Param # ┃\n┡━━━━━━━━━━╇━━━━━━━━━┩\n│ conv2d   │     156 │\n"
    "│ (Conv2D) │         │\n├──────────┼─────────┤\n│ dense    │  48,120 │\n└──────────┴─────────┘\n"
)

CODE = {
    "code in order": Example(
        [code("first()", stream("one\n")), new_raw_cell("raw *text*"), code("second()", stream("two\n"), count=2)],
        ["[1]", "first()", "one", "raw *text*", "[2]", "second()", "two"],
    ),
    "long lines and tokens": Example(
        [code(f"{LONG_LINE}\n{'x' * 400}", stream("y" * 400))], [LONG_LINE, "x" * 400, "y" * 400]
    ),
    "blank lines, tabs and no final newline": Example(
        [code("a = 1\n\n\n\tb = 2\n\n", stream("\n\n  c\n\n  d"))], ["a=1", "b=2", "c", "d"]
    ),
    "ANSI colours": Example(
        [
            code(
                "1",
                stream(
                    "\x1b[31mred\x1b[0m \x1b[1;38;5;208morange\x1b[0m \x1b[38;2;1;2;3mtrue\x1b[0m "
                    "\x1b]8;;u\x07link\x1b]8;;\x07\x1b[2K"
                ),
            )
        ],
        ["red", "orange", "true", "link"],
        ["[31m", "208"],
        compare=False,
    ),
    "carriage returns and backspaces": Example(
        [code("1", stream(" 10 %\r 50 %\r100 %\nabc\b\bX\n"), stream("half "), stream("line\r\nnext"))],
        ["100 %", "aXc", "half line", "next"],
        ["50"],
        compare=False,
    ),
    "error": Example(
        [
            code(
                "1/0",
                new_output(
                    "error",
                    ename="ZeroDivisionError",
                    evalue="by zero",
                    traceback=["\x1b[0;31m---\x1b[0m", "ZeroDivisionError: by zero"],
                ),
            )
        ],
        ["1/0", "---", "ZeroDivisionError: by zero"],
    ),
    "standard error": Example([code("1", stream("careful\n", "stderr"), stream("fine"))], ["careful", "fine"]),
    "box drawing": Example([code("1", stream(SUMMARY))], ["┏━━━", "┃Layer", "48,120", "└──────────┴"]),
    "Unicode": Example(
        [
            markdown("αβγ ΩΔ æøå ÆØÅ ő ∑ ℝ → ☃ 🚀 日本語 中文 한국어 שלום हिन्दी"),
            code("s = 'æøå 🚀 日本語 λ → ✓'  # ∑", stream("▁▂▃ ⠋ 𝟙 ä")),
        ],
        ["αβγ ΩΔ æøå ÆØÅ ő ∑", "☃", "🚀", "日本語", "中文", "한국어", "s = 'æøå", "🚀", "日本語", "▁▂▃"],
    ),
    "character in no font": Example(
        [markdown("old 𓀀 sign and \x02")],
        ["old", "U+13000", "sign"],
        warnings=["U+13000 EGYPTIAN HIEROGLYPH A001", "U+2402 SYMBOL FOR START OF TEXT"],
        compare=False,
    ),
    "private characters": Example(
        [code("1", stream("powerline \ue0b0 prompt \uf015")), markdown("icon \ue0b0")],
        ["powerline", "U+E0B0", "prompt", "U+F015", "icon"],
        warnings=["U+E0B0", "U+F015"],
        compare=False,
    ),
    "other languages": Example(
        [code("%%bash\necho $HOME && ls | wc"), code("%timeit f(x)\n!ls ?", count=None)],
        ["echo $HOME && ls | wc", "%timeit f(x)", "!ls ?"],
    ),
    "hidden by tags": Example(
        [
            code("secret_input", stream("shown output"), tags=["hide-input"]),
            code("shown input", stream("secret_output"), tags=["remove-output"]),
            code("secret_cell", stream("secret_too"), tags=["remove_cell"]),
            new_markdown_cell("secret_markdown", metadata={"tags": ["hide-cell"]}),
        ],
        ["shown output", "shown input"],
        ["secret"],
    ),
}
