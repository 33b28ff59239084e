"""The notebooks by hand: a real JupyterLab in a real browser, and the page about the hand-in.

With SCREENSHOTS=<folder> in the environment, the notebooks run with their own values, and screenshots are kept there.
"""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from coursework import session
from tests.running import copy_project, environment, stop, wait_for, write_notebook

pytestmark = pytest.mark.slow

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SMALL = {
    "part1_mnist": {"epochs": 1000, "training_images": 600, "profile": '"browser"'},
    "part2_fashion_mnist": {
        "iteration1_epochs": 1,
        "iteration2_epochs": 1,
        "iteration3_epochs": 2,
        "iteration3_width": 8,
        "training_images": 1200,
        "profile": '"browser"',
    },
    "part3_experiments": {"profile": '"browser"'},
    "experiment": {"share": 0.005, "epochs": 2, "profile": '"browser"'},
    "welcome": {},
}
"""Values of parameters with which a notebook takes seconds; part 1 would take minutes, and is interrupted."""
if "SCREENSHOTS" in os.environ:  # what a person sees has the notebooks' own values
    SMALL = {name: {"profile": '"browser"'} if values else {} for name, values in SMALL.items()}
EPOCHS = SMALL["part1_mnist"].get("epochs", 20)
OPTIONS = ["--no-browser", "--allow-root", "--expose-app-in-browser", "--port=PORT", "--IdentityProvider.token="]
"""Options of JupyterLab."""


@pytest.fixture(scope="session")  # so that without a browser, a test is skipped before its smoke run
def browser():
    """A Chromium of this machine, or of Playwright's own."""
    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
        found = next(filter(None, map(shutil.which, NAMES)), str(own) if own.exists() else None)
        if found is None:
            pytest.skip(
                "no Chromium on this machine: install the package chromium, or run `playwright install chromium`"
            )
        started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project, to whose `reports/` the notebooks write."""
    return copy_project(tmp_path_factory.mktemp("project") / "copy")


@pytest.fixture(scope="module")
def lab(browser, project, tmp_path_factory):
    """A page on a JupyterLab whose folder, outside of the project, holds the notebooks with small parameters."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "notebooks").mkdir()
    for name, values in SMALL.items():
        write_notebook(folder / "notebooks" / f"{name}.ipynb", values)
    settings = folder / "settings" / "@jupyterlab"
    for plugin, values in (
        ("notebook-extension/tracker", {"windowingMode": "none"}),  # all cells are in the page
        ("apputils-extension/notification", {"fetchNews": "false"}),
    ):
        (settings / plugin).parent.mkdir(parents=True, exist_ok=True)
        (settings / f"{plugin}.jupyterlab-settings").write_text(json.dumps(values))
    command = [sys.executable, "-m", "jupyterlab", "--log-level=WARN", f"--ServerApp.root_dir={folder / 'notebooks'}"]
    with started_lab(
        [*command, *OPTIONS], folder, folder, project, JUPYTERLAB_SETTINGS_DIR=str(folder / "settings")
    ) as address:
        page = browser.new_page(viewport={"width": 1180, "height": 860})
        page.set_default_timeout(60_000)
        yield lambda name: Notebook(page, address, name)
        page.close()


@contextlib.contextmanager
def started_lab(command, cwd, folder, project, **variables):
    """The address of a JupyterLab that runs the code of a copy of the project; its log is in `folder`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [part.replace("PORT", str(port)) for part in command]
    variables = environment(project) | {"JUPYTER_RUNTIME_DIR": str(folder / "runtime")} | variables
    variables.pop(session.HEADLESS_VARIABLE, None)
    address = f"http://127.0.0.1:{port}"
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=cwd, env=variables, stdout=log, stderr=subprocess.STDOUT)

    def answers():
        try:
            return urllib.request.urlopen(f"{address}/api").status == 200
        except OSError:
            assert server.poll() is None, (folder / "log").read_text()
            return False

    try:
        wait_for("answer of JupyterLab", answers, limit=60)
        yield address
    finally:
        stop(server)


class Notebook:
    """An open notebook: what a person does with it, and what is in it."""

    def __init__(self, page, address, name):
        self.page, self.name = page, name
        page.goto(f"{address}/lab/tree/{name}.ipynb?reset")
        page.wait_for_selector(".jp-Notebook .jp-Cell")
        self.wait("status", "idle")

    def cells(self) -> list[dict]:
        return self.page.evaluate("window.jupyterapp.shell.currentWidget.content.model.toJSON()")["cells"]

    def wait(self, what: str, value: str, limit: float = 60) -> None:
        state = f"window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.{what}"
        wait_for(f"{what} {value} of {self.name}", lambda: self.page.evaluate(state) == value, limit)

    def menu(self, name: str, entry: str) -> None:
        self.page.get_by_role("menuitem", name=name, exact=True).click()
        self.page.get_by_role("menuitem", name=entry, exact=True).click()

    def index(self, text: str) -> int:
        """Number of the code cell that contains a text."""
        return next(
            n for n, cell in enumerate(self.cells()) if cell["cell_type"] == "code" and text in "".join(cell["source"])
        )

    def cell(self, text: str):
        """The code cell with this text in the page."""
        return self.page.locator(".jp-Notebook-cell").nth(self.index(text))

    def wait_until_all_ran(self, limit: float) -> None:
        def all_ran():
            cells = [cell for cell in self.cells() if cell["cell_type"] == "code"]
            for cell in cells:
                errors = [output for output in cell["outputs"] if output["output_type"] == "error"]
                assert not errors, (self.name, "".join(cell["source"]), errors[0]["ename"], errors[0]["evalue"])
            return all(cell["execution_count"] for cell in cells)

        wait_for(f"the last cell of {self.name}", all_ran, limit)
        self.wait("status", "idle")

    def screenshot(self, name: str, locator=None) -> None:
        keep_screenshot(self.page, f"lab_{name}", locator)


def keep_screenshot(page, name, locator=None):
    if folder := os.environ.get("SCREENSHOTS"):
        (locator or page).screenshot(path=Path(folder) / f"{name}.png")


def picture(cell):
    return cell.locator("figure img").get_attribute("src")


def test_make_lab_opens_the_welcome_page_with_the_kernel_of_the_environment(browser, project, tmp_path):
    command = ["make", "lab", f"LAB={' '.join(OPTIONS)}"]
    page = browser.new_page()
    with started_lab(command, project, tmp_path, project, JUPYTERLAB_WORKSPACES_DIR=str(tmp_path)) as address:
        page.goto(address)
        expect(page.locator(".jp-Notebook h1")).to_contain_text("getting started", timeout=60_000)
        assert page.url.endswith("/lab/tree/notebooks/welcome.ipynb")
        expect(page.locator(".jp-DirListing")).to_contain_text("part2_fashion_mnist.ipynb")
        kernels = json.load(urllib.request.urlopen(f"{address}/api/kernelspecs"))
        command = kernels["kernelspecs"][kernels["default"]]["spec"]["argv"]
        own_python = str(project / ".venv" / "bin" / "python")
        assert command[0] in (own_python, "python"), "Jupyter takes python for its own Python"
        assert "reports/by_hand/" in (tmp_path / "log").read_text()
    page.close()


@pytest.mark.parametrize("name", ["welcome", "part3_experiments", "experiment"])
def test_a_notebook_runs_by_hand_from_another_folder(lab, name):
    notebook = lab(name)
    notebook.menu("Run", "Run All Cells")
    notebook.wait_until_all_ran(limit=120)
    notebook.screenshot(name)


@pytest.fixture(scope="module")
def interrupted(lab):
    """Part 1, interrupted after a few epochs of its training, and what the training showed until then."""
    notebook = lab("part1_mnist")
    notebook.menu("Run", "Run All Cells")
    training = notebook.cell("utilities.TrainingMonitor(")
    shown = []

    def three_states():
        if training.locator("progress").count() and training.locator(".jp-RenderedSVG").count():
            curves = training.locator(".jp-RenderedSVG img, .jp-RenderedSVG svg").first
            state = training.locator(".jp-OutputArea").inner_text(), curves.evaluate("e => e.src || e.outerHTML")
            if not shown or all(before != now for before, now in zip(shown[-1], state, strict=True)):
                shown.append(state)
        return len(shown) >= 3

    wait_for("curves that grow", three_states, limit=120)
    training.scroll_into_view_if_needed()
    notebook.screenshot("training")
    notebook.page.locator('[data-command="notebook:interrupt-kernel"], [title^="Interrupt"]').first.click()
    notebook.wait_until_all_ran(limit=180)
    return notebook.cells(), notebook.index, [line for line, _ in shown]


def outputs_of(interrupted, text):
    cells, index, _ = interrupted
    return cells[index(text)]["outputs"]


def finished_epochs(interrupted):
    streams = [one for one in outputs_of(interrupted, "utilities.TrainingMonitor(") if one["output_type"] == "stream"]
    printed = "".join("".join(output["text"]) for output in streams)
    return int(re.search(rf"Interrupted after epoch (\d+) of {EPOCHS}", printed)[1])


def test_a_training_shows_its_progress_and_the_time_left(interrupted):
    line = interrupted[2][0]
    progress = rf"LeNet-5 on MNIST: epoch \d+ of {EPOCHS} · .* so far, about .* left · validation F1 0\.\d{{4}}"
    assert re.search(progress, line)


def test_an_interrupted_training_leaves_the_table_of_its_finished_epochs(interrupted):
    outputs = [output for output in outputs_of(interrupted, "utilities.TrainingMonitor(") if "data" in output]
    assert [sorted(output["data"]) for output in outputs] == [
        ["image/svg+xml", "text/plain"],
        ["text/html", "text/plain"],
    ]
    assert f"{finished_epochs(interrupted)} epochs in" in "".join(outputs[1]["data"]["text/html"])


def test_the_cells_after_an_interrupted_training_use_its_finished_epochs(interrupted, project):
    epochs = finished_epochs(interrupted)
    (summary,) = outputs_of(interrupted, "The following sections use")
    assert f" of {epochs}: its validation F1" in "".join(summary["data"]["text/markdown"])
    metrics = json.loads((project / "reports" / "browser" / "metrics" / "part1_mnist.json").read_text())
    assert metrics["trainings"]["LeNet-5"]["epochs"] == epochs


def test_every_control_changes_its_picture(lab):
    notebook = lab("part2_fashion_mnist")
    notebook.menu("Run", "Run All Cells")
    notebook.wait_until_all_ran(limit=600)
    for explorer, drive in {
        "mistakes": [
            ("select", 0, "Shirt"),
            ("select", 1, "T-shirt/top"),
            ("select", 0, "any"),
            ("select", 1, "any"),
            ("slide", 0, 1),
        ],
        "class_activation": [("slide", 0, 1), ("select", 0, "Bag"), ("select", 1, 1)],
        "feature_maps": [("slide", 0, 1), ("select", 0, 1)],
        "reliability": [("select", 0, 1), ("slide", 0, 2)],
        "embeddings": [("select", 0, "PCA"), ("slide", 0, -3), ("select", 1, "Shirt")],
        "perturbation": [("slide", 0, 1), ("slide", 1, 3), ("slide", 2, -3), ("slide", 3, 4), ("slide", 4, 5)],
    }.items():
        cell = notebook.cell(f"explore.{explorer}(")
        cell.scroll_into_view_if_needed()
        expect(cell.locator("figure img")).to_be_visible()
        assert len(cell.locator("figure img").get_attribute("alt")) > 40
        notebook.screenshot(f"{explorer}_0", cell)
        for step, (kind, number, value) in enumerate(drive, start=1):
            before, deadline = picture(cell), time.monotonic() + 30
            if kind == "select":
                option = {"label": value} if isinstance(value, str) else {"index": value}
                cell.locator("select").nth(number).select_option(**option)
            else:
                handle = cell.locator(".noUi-handle").nth(number)
                handle.focus()
                for _ in range(abs(value)):
                    handle.press("ArrowRight" if value > 0 else "ArrowLeft")
            while picture(cell) == before:
                assert time.monotonic() < deadline, f"{explorer}: {kind} {number} changes nothing"
                notebook.page.wait_for_timeout(100)
            assert not cell.locator("pre", has_text="Error").count()
            notebook.screenshot(f"{explorer}_{step}", cell)
    assert not [
        cell for cell in notebook.cells() for output in cell.get("outputs", []) if output["output_type"] == "error"
    ]


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")])
def test_the_page_about_a_hand_in_is_readable_and_needs_no_network(browser, smoke_run, width, scheme):
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((smoke_run.output / "index.html").as_uri())
    assert [url for url in asked if not url.startswith(("data:", "file:"))] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("figure img").evaluate_all(
        "images => images.every(image => image.naturalWidth > 0 && image.alt.length > 40)"
    )
    text, ground = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    light, dark = (
        sum(map(int, re.findall(r"\d+", colour)[:3]))
        for colour in ((text, ground) if scheme == "dark" else (ground, text))
    )
    assert light > 600 and dark < 150
    for link in page.locator("a[href$='.pdf'], a[href$='.ipynb']").all():
        assert (smoke_run.output / link.get_attribute("href")).exists()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the results"
    page.keyboard.press("Enter")
    assert page.url.endswith("#results")
    keep_screenshot(page, f"index_{width}_{scheme}")
    page.close()
