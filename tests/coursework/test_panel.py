import pytest

from coursework.figures import figure_with_axes, with_caption
from coursework.panel import Menu, Slider, show
from coursework.session import HEADLESS_VARIABLE


def draw(word, number):
    if number == 9:
        raise ValueError("not <nine>")
    figure, _ = figure_with_axes(1, 1, height=1)
    return with_caption(figure, f"{word} & {number}", f'The "{word}" and {number}')


CONTROLS = {"word": Menu("a word", {"any": "start", "other": "end"}), "number": Slider("a number", 0, 10, start=3)}


@pytest.fixture
def panel(monkeypatch):
    monkeypatch.delenv(HEADLESS_VARIABLE, raising=False)
    return show(draw, **CONTROLS)


def test_a_headless_kernel_shows_the_static_figure_or_the_one_with_the_values_at_the_start(monkeypatch):
    monkeypatch.setenv(HEADLESS_VARIABLE, "terminal")
    assert show(draw, **CONTROLS).caption == "start & 3"
    assert show(draw, lambda: draw("static", 1), **CONTROLS).caption == "static & 1"


def test_a_panel_shows_a_picture_with_caption_and_alternative_text_that_follows_its_controls(panel):
    assert '<img src="data:image/svg+xml;base64,' in panel.picture.value
    assert 'alt="The &quot;start&quot; and 3"' in panel.picture.value
    assert "<figcaption>start &amp; 3</figcaption>" in panel.picture.value
    panel.widgets["word"].label = "other"
    panel.widgets["number"].value = 7
    assert "<figcaption>end &amp; 7</figcaption>" in panel.picture.value


def test_an_error_is_shown_in_place_of_the_picture(panel):
    panel.widgets["number"].value = 9
    assert panel.picture.value == "<pre>ValueError: not &lt;nine&gt;</pre>"
    panel.widgets["number"].value = 8
    assert "start &amp; 8" in panel.picture.value


def test_a_page_without_widgets_has_the_static_figure(panel):
    panel.widgets["number"].value = 7
    contents, about = panel._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in contents
    assert contents["image/svg+xml"].startswith("<?xml")
    assert about == {"caption": "start & 3", "alt": 'The "start" and 3'}
