"""TeX formulas: found in Markdown as Jupyter finds them, translated to Typst by one call of pandoc."""

from __future__ import annotations

import html
import json
import re
import subprocess
from importlib.resources import files

from notebook_pdf.errors import ExportError

OPEN, CLOSE = "\ufdd0", "\ufdd1"
"""A placeholder is a formula's number between these two code points, which Unicode keeps out of texts."""
PLACEHOLDER = re.compile(f"{OPEN}(\\d+){CLOSE}")
_SEPARATOR = f"{OPEN}formula{CLOSE}"
_FOUND = re.compile(
    r"""
      (?P<skip> ^[ \t>]*(?P<fence>`{3,}|~{3,})[^\n]*\n(?:.*?^[ \t>]*(?P=fence)[`~]*[ \t]*$|.*\Z)   # fenced code
              | (?<!`)(?P<ticks>`+)(?!`)(?:(?!\n[ \t]*\n).)+?(?<!`)(?P=ticks)(?!`)   # inline code
              | \\[\\$](?![\[\](){}]) | <!--.*?--> )
    | \$\$(?P<display> (?:\\.|(?!\n[ \t]*\n|\$\$)[^\\])+? )\$\$
    | \\begin\{(?P<environment>[A-Za-z]+\*?)\}.*?\\end\{(?P=environment)\}
    | \\\\\[(?P<bracketed>.+?)\\\\\]
    | \\\\\((?P<parenthesised>.+?)\\\\\)
    | \$(?P<inline> (?:\\.|(?!\n[ \t]*\n)[^$\\`])+ )\$
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
_PRICE = re.compile(r"\d[^$]*\s")
_BODY = r"\{((?:[^{}]|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})*)\}"
_DEFINITION = re.compile(
    rf"""\\(?:re)?newcommand\*?\s*\{{?\\(?P<name>[A-Za-z]+)\}}?\s*(?:\[(?P<arguments>\d)\])?\s*{_BODY}
      | \\def\s*\\(?P<plain>[A-Za-z]+)(?P<pattern>(?:\#\d)*)\s*{_BODY}
      | \\DeclareMathOperator(?P<star>\*?)\s*\{{?\\(?P<operator>[A-Za-z]+)\}}?\s*{_BODY}""",
    re.VERBOSE,
)
_MAX_EXPANSIONS = 2000
_LETTERS = {
    "AA": "Å", "aa": "å", "AE": "Æ", "ae": "æ", "O": "Ø", "o": "ø", "OE": "Œ", "oe": "œ", "ss": "ß",
    "L": "Ł", "l": "ł", "S": "§", "P": "¶", "copyright": "©", "degree": "°",
    "textdegree": "°", "texteuro": "€", "i": "ı",
}  # fmt: skip
_DIALECT = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        # Commands that do not change what is printed, or that need a browser.
        (rf"\\(?:label|require|cssId|class|vphantom)\s*{_BODY}", ""),
        (rf"\\h?phantom\s*{_BODY}", r"\\quad "),  # pandoc would write markup, in which Typst executes code
        (r"\\(?:nonumber|notag|nolimits|displaylimits|mathstrut|strut|newline)(?![A-Za-z])", ""),
        (r"\\(?:tiny|scriptsize|footnotesize|small|normalsize|large|Large|LARGE|huge|Huge)(?![A-Za-z])", ""),
        (r"\\color\s*\{[^{}]*\}", ""),
        (rf"\\(?:textcolor|href)\s*\{{[^{{}}]*\}}\s*{_BODY}", r"{\1}"),
        (rf"\\(?:smash|mathinner|vcenter)\s*{_BODY}", r"{\1}"),
        (r"\\(?:hskip|kern|vskip|mkern|mskip)\s*-?[\d.]+\s*(?:em|ex|pt|mu|cm|mm|in|px)", r"\\, "),
        # Synonyms.
        (rf"\\tag\*?\s*{_BODY}", r"\\qquad \\text{(\1)}"),
        (r"\\(?:eqref|ref)\s*\{([^{}]*)\}", r"\\text{(\1)}"),
        (rf"\\fbox\s*{_BODY}", r"\\boxed{\1}"),
        (rf"\\ket\s*{_BODY}", r"{\\left|\1\\right\\rangle}"),
        (rf"\\bra\s*{_BODY}", r"{\\left\\langle \1\\right|}"),
        (rf"\\braket\s*{_BODY}", r"{\\left\\langle \1\\right\\rangle}"),
        (r"\\(bf|rm|it|cal|sf|tt)\s*\{", r"\\math\1{"),
        (r"\{\s*\\(bf|rm|it|cal|sf|tt)(?![A-Za-z])\s*([^{}]*)\}", r"{\\math\1{\2}}"),
        (r"\\(bf|rm|it|cal|sf|tt)(?![A-Za-z])\s*(\w)", r"\\math\1{\2}"),
        (rf"\\mathop\s*\{{?\{{\\math\w+\s*{_BODY}\}}\}}?", r"\\operatorname{\1}"),
        (r"\\(?:bm|pmb)(?![A-Za-z])", r"\\boldsymbol"),
        (r"\\(?:mathds|mathbbm)(?![A-Za-z])", r"\\mathbb"),
        (r"\\cfrac(?![A-Za-z])", r"\\frac"),
        (r"\\thinspace(?![A-Za-z])", r"\\,"),
        (r"\\(?:thickspace|space)(?![A-Za-z])", r"\\;"),
        (r"\\negthinspace(?![A-Za-z])", r"\\!"),
        (r"\\cr(?![A-Za-z])", r"\\\\"),
        (r"\\(" + "|".join(_LETTERS) + r")(?![A-Za-z])", lambda match: rf"\text{{{_LETTERS[match[1]]}}}"),
        # Environments.
        (r"\\hline", ""),
        (r"\\begin\{array\}\s*(?:\[\w\])?\s*(?:\{[^{}]*\})?", r"\\begin{matrix}"),
        (r"\\end\{array\}", r"\\end{matrix}"),
        (r"\\begin\{vmatrix\}", r"\\left|\\begin{matrix}"),
        (r"\\end\{vmatrix\}", r"\\end{matrix}\\right|"),
        (r"\\begin\{Vmatrix\}", r"\\left\\|\\begin{matrix}"),
        (r"\\end\{Vmatrix\}", r"\\end{matrix}\\right\\|"),
        (r"\\begin\{rcases\}", r"\\left.\\begin{matrix}"),
        (r"\\end\{rcases\}", r"\\end{matrix}\\right\\}"),
        (r"\\(begin|end)\{dcases\}", r"\\\1{cases}"),
        (r"\\(?:begin|end)\{(?:equation|displaymath|math|subequations)\*?\}", ""),
        (r"\\(begin|end)\{(?:eqnarray|flalign|alignat|multline|align)\*?\}(?:\{\d+\})?", r"\\\1{align*}"),
    )
)
_CASES = re.compile(r"(\\begin\{cases\})(.*?)(\\end\{cases\})", re.DOTALL)
_QUOTED = re.compile(r'\\.|"(?:\\.|[^"\\])*"', re.DOTALL)
_HARMLESS = re.compile(
    r"#h\(-?[\d.]+(?:em|pt|cm|mm|in)\)|#box\(stroke: black, inset: 3pt, \[\$|#scale\(x: \d+%, y: \d+%\)\[|: #true\b"
)
"""The code that pandoc itself writes in formulas: spaces, frames, large delimiters, crossed-out letters."""
_RENAMED = (
    (re.compile(r"\b(times|dot|minus|dash|plus)\.circle\b"), r"\1.o"),
    (re.compile(r"\bsect\b"), "inter"),
    (re.compile(r"\bbracket\.(l|r)\.double\b"), r"bracket.\1.stroked"),
)
"""Symbols that Typst renamed after this version of pandoc."""


def without_placeholders(text: str) -> str:
    """A text of the notebook without code points that look like a placeholder."""
    return text.replace(OPEN, "\ufffd").replace(CLOSE, "\ufffd")


class Formulas:
    """The formulas of a notebook in order.

    Attributes:
        sources: the TeX of each formula, and whether it is displayed on its own line.
        cells: the index of each formula's cell.
        cell: the index of the cell whose formulas are extracted next.
    """

    def __init__(self) -> None:
        self.sources: list[tuple[str, bool]] = []
        self.cells: list[int] = []
        self.cell = 0
        self._macros: dict[str, tuple[int, str]] = {}

    def extract(self, markdown: str) -> str:
        """Replace each formula by a placeholder.

        Code is not searched, a formula never spans a blank line, and two prices in dollars are not a formula.
        """

        def placeholder(match: re.Match) -> str:
            if match["skip"] is not None:
                return match[0]
            inline = match["inline"]
            following = match.string[match.end() : match.end() + 1]
            if inline is not None and (not inline.strip() or (_PRICE.fullmatch(inline) and following.isdigit())):
                return match[0]
            bodies = (match["display"], match["bracketed"], inline, match["parenthesised"])
            source = next((body for body in bodies if body is not None), match[0])
            return self._add(source, display=inline is None and match["parenthesised"] is None)

        return _FOUND.sub(placeholder, without_placeholders(markdown))

    def _add(self, source: str, display: bool) -> str:
        self.sources.append((source, display))
        self.cells.append(self.cell)
        return f"{OPEN}{len(self.sources) - 1}{CLOSE}"

    def restore(self, text: str) -> str:
        """Replace each placeholder by the formula's TeX: for code, descriptions and addresses."""

        def source(match: re.Match) -> str:
            if int(match[1]) >= len(self.sources):  # the author wrote the reserved code points as HTML entities
                return ""
            tex, display = self.sources[int(match[1])]
            dollars = "" if tex.startswith("\\begin") else "$$" if display else "$"
            return f"{dollars}{tex}{dollars}"

        return PLACEHOLDER.sub(source, text)

    def to_typst(self) -> list[str | None]:
        """Translate all formulas.

        Returns:
            Typst's mathematics for each: "" for one that only defines macros, None for one that can't be translated.
        """
        sources = [self._plain_tex(source) for source, _ in self.sources]
        distinct = [source for source in dict.fromkeys(sources) if source]
        translated = dict(zip(distinct, _translate(distinct), strict=True)) if distinct else {}
        return [translated[source] if source else "" for source in sources]

    def _plain_tex(self, source: str) -> str:
        """`source` in the TeX that pandoc understands: with macros expanded, without what only MathJax understands."""
        source = source.encode(errors="replace").decode()  # lone surrogates
        source = _DEFINITION.sub(self._define, html.unescape(source) if "&" in source else source).strip()
        for _ in range(_MAX_EXPANSIONS if self._macros else 0):
            expanded = self._expand_once(source)
            if expanded == source:
                break
            source = expanded
        for pattern, replacement in _DIALECT:
            source = pattern.sub(replacement, source)
        source = _fractions(source)
        source = _CASES.sub(
            lambda match: match[1] + re.sub(r"(?<!\\)&", r"&\\quad ", match[2]) + match[3], source
        ).strip()
        if re.search(r"\\\\(?!\[)", source) and r"\begin" not in source:
            source = rf"\begin{{gathered}}{source}\end{{gathered}}"  # MathJax breaks the line there
        return source

    def _define(self, match: re.Match) -> str:
        body = match[match.lastindex]
        if match["name"]:
            self._macros[match["name"]] = int(match["arguments"] or 0), body
        elif match["plain"]:
            self._macros[match["plain"]] = len(match["pattern"]) // 2, body
        else:
            self._macros[match["operator"]] = 0, rf"\operatorname{match['star']}{{{body}}}"
        return ""

    def _expand_once(self, source: str) -> str:
        names = "|".join(sorted(self._macros, key=len, reverse=True))
        match = re.search(rf"\\({names})(?![A-Za-z])\s*", source)
        if match is None:
            return source
        count, body = self._macros[match[1]]
        end, arguments = match.end(), []
        for _ in range(count):
            argument = re.compile(rf"\s*(?:{_BODY}|(\\[A-Za-z]+|.))", re.DOTALL).match(source, end)
            if argument is None:
                return source
            arguments.append(argument[1] if argument[1] is not None else argument[2])
            end = argument.end()
        filled = re.sub(
            r"#(\d)", lambda number: f"{{{arguments[int(number[1]) - 1]}}}" if int(number[1]) <= count else "", body
        )
        return source[: match.start()] + f"{{{filled}}}" + source[end:]


def _fractions(source: str) -> str:
    r"""Write `{a \over b}` as `\frac{a}{b}`. Without braces, `\over` divides all of `source`."""
    while match := re.search(r"\\over(?![A-Za-z])", source):
        start, end = _group_around(source, match.start())
        top, bottom = source[start : match.start()].strip(), source[match.end() : end].strip()
        source = rf"{source[:start]}\frac{{{top}}}{{{bottom}}}{source[end:]}"
    return source


def _group_around(source: str, position: int) -> tuple[int, int]:
    """The start and end of the text in the innermost braces around a position."""
    start, depth = position, 0
    while start > 0 and depth >= 0:
        start -= 1
        depth += {"}": 1, "{": -1}.get(source[start], 0)
    end, depth_right = position, 0
    while end < len(source) and depth_right >= 0:
        depth_right += {"{": 1, "}": -1}.get(source[end], 0)
        end += 1
    return (start + 1 if depth < 0 else 0), (end - 1 if depth_right < 0 else len(source))


def _translate(sources: list[str]) -> list[str | None]:
    blocks = []
    for source in sources:
        blocks.append({"t": "Plain", "c": [{"t": "Math", "c": [{"t": "DisplayMath"}, source]}]})
        blocks.append({"t": "RawBlock", "c": ["typst", _SEPARATOR]})
    document = json.dumps({"pandoc-api-version": [1, 23], "meta": {}, "blocks": blocks})
    command = [_pandoc_path(), "--from=json", "--to=typst", "--wrap=none"]
    done = subprocess.run(command, input=document, capture_output=True, encoding="utf-8")
    if done.returncode:
        raise ExportError("pandoc can't translate its formulas")
    found = [re.fullmatch(r"\$ (.*) \$", text.strip(), re.DOTALL) for text in done.stdout.split(_SEPARATOR)[:-1]]
    formulas = [_rename_symbols(match[1].replace("\n", " ")) if match else None for match in found]
    return [None if formula is None or _has_code(formula) else formula for formula in formulas]


def _has_code(formula: str) -> bool:
    """Whether Typst would execute something: a number sign outside quotation marks that pandoc did not write itself."""
    return "#" in _HARMLESS.sub(" ", _QUOTED.sub(" ", formula))


def _pandoc_path() -> str:
    """The pandoc in the wheel. Asking pypandoc would start it once more."""
    for name in ("pandoc", "pandoc.exe"):
        if (path := files("pypandoc") / "files" / name).is_file():
            return str(path)
    import pypandoc

    return pypandoc.get_pandoc_path()


def _rename_symbols(formula: str) -> str:
    """The formula with the current names of symbols. Text in quotation marks is not changed."""
    parts = re.split(r'("(?:\\.|[^"\\])*")', formula)
    for pattern, replacement in _RENAMED:
        parts[::2] = [pattern.sub(replacement, part) for part in parts[::2]]
    return "".join(parts)
