"""Widgets above a figure that follows them, and the static figure for a page."""

from __future__ import annotations

import base64
import dataclasses
import functools
import html
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import ipywidgets

from coursework.session import headless

if TYPE_CHECKING:
    from coursework.figures import CaptionedFigure


@dataclasses.dataclass(frozen=True)
class Menu:
    """A choice of one value by its name; the first one is selected at the start."""

    label: str
    choices: Mapping[str, Any]

    @property
    def start(self) -> Any:
        return next(iter(self.choices.values()))

    def widget(self, style: Mapping[str, str]) -> ipywidgets.Widget:
        return ipywidgets.Dropdown(options=list(self.choices.items()), description=self.label, style=style)


@dataclasses.dataclass(frozen=True)
class Slider:
    """A number from `low` to `high` in steps; an integer step gives integers."""

    label: str
    low: float
    high: float
    step: float = 1
    start: float = 0

    def widget(self, style: Mapping[str, str]) -> ipywidgets.Widget:
        kind = ipywidgets.IntSlider if isinstance(self.step, int) else ipywidgets.FloatSlider
        return kind(self.start, min=self.low, max=self.high, step=self.step, description=self.label, style=style)


def show(
    draw: Callable[..., CaptionedFigure], static: Callable[[], CaptionedFigure] | None = None, **controls: Menu | Slider
) -> Panel | CaptionedFigure:
    """Controls above a figure that is redrawn when one of them changes, or the static figure in a headless kernel.

    Args:
        draw: makes the figure; its arguments are the values of the controls, by name.
        static: makes the figure for a page, where nothing can be changed; by default `draw` with the values at the
            start.
    """
    if static is None:
        static = functools.partial(draw, **{name: control.start for name, control in controls.items()})
    return static() if headless() else Panel(draw, static, controls)


class Panel(ipywidgets.VBox):
    """The controls and the figure. Where widgets cannot be shown, such as in a PDF, it is the static figure."""

    def __init__(
        self,
        draw: Callable[..., CaptionedFigure],
        static: Callable[[], CaptionedFigure],
        controls: Mapping[str, Menu | Slider],
    ):
        style = {"description_width": "initial"}
        self._draw, self._static = draw, static
        self.widgets = {name: control.widget(style) for name, control in controls.items()}
        self.picture = ipywidgets.HTML()
        row = ipywidgets.HBox(list(self.widgets.values()), layout={"flex_flow": "row wrap"})
        super().__init__([row, self.picture])
        for widget in self.widgets.values():
            widget.observe(self._redraw, names="value")
        self._redraw()

    def _redraw(self, _change: Any = None) -> None:
        try:
            values = {name: widget.value for name, widget in self.widgets.items()}
            self.picture.value = _as_html(self._draw(**values))
        except Exception as error:  # in a callback, it would appear in the server's log only
            self.picture.value = f"<pre>{html.escape(f'{type(error).__name__}: {error}')}</pre>"

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict, dict]:
        data, about = self._static()._repr_mimebundle_()
        return data | super()._repr_mimebundle_(**options) | {"text/plain": data["text/plain"]}, about


def _as_html(figure: CaptionedFigure) -> str:
    """A figure as HTML with its caption and its alternative text."""
    source = base64.b64encode(figure.svg().encode()).decode()
    return (
        f'<figure style="margin: 0"><img src="data:image/svg+xml;base64,{source}" '
        f'alt="{html.escape(figure.description)}" style="max-width: 100%; background: white">'
        f"<figcaption>{html.escape(figure.caption)}</figcaption></figure>"
    )
