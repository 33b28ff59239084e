"""The notebooks by hand: a real JupyterLab in a real browser, and the page about the hand-in."""

import contextlib
import json
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from coursework import session
from tests.running import copy_project, environment, stop, wait_for, write_notebook

pytestmark = pytest.mark.slow

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SMALL = {
    "part1_mnist": {"epochs": 1000, "training_images": 600},
    "part2_fashion_mnist": {"iteration1_epochs": 1, "iteration2_epochs": 1, "iteration3_epochs": 2}
    | {"iteration3_convolutions": "8 pool, 16 pool", "training_images": 1200},
    "experiment": {"share": 0.005, "epochs": 2},
}
"""Values of parameters with which a notebook takes seconds; part 1 would take minutes, and is interrupted."""
OPTIONS = ["--no-browser", "--allow-root", "--expose-app-in-browser", "--port=PORT", "--IdentityProvider.token="]
"""Options of JupyterLab."""
CONTROLS = [("menu", 0, "Shirt"), ("menu", 1, "T-shirt/top"), ("menu", 1, "any"), ("slider", 0, None)]
"""What a person does with the controls of the mistakes; test_explore.py covers the controls of each explorer."""


@pytest.fixture(scope="session")  # so that without a browser, a test is skipped before its smoke run
def browser():
    """A Chromium of this machine, or of Playwright's own."""
    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
        found = next(filter(None, map(shutil.which, NAMES)), str(own) if own.exists() else None)
        if found is None:
            pytest.skip("no Chromium here: install the package chromium, or run `playwright install chromium`")
        with playwright.chromium.launch(executable_path=found, args=["--no-sandbox"]) as started:
            yield started


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project, to whose `reports/` the notebooks write."""
    return copy_project(tmp_path_factory.mktemp("project") / "copy")


@contextlib.contextmanager
def started_lab(command, cwd, folder, project, **variables):
    """The address of a JupyterLab that runs the code of a copy of the project; its log is in `folder`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [part.replace("PORT", str(port)) for part in command]
    variables = environment(project) | {"JUPYTER_RUNTIME_DIR": str(folder / "runtime")} | variables
    variables.pop(session.HEADLESS_VARIABLE, None)
    address = f"http://127.0.0.1:{port}"
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=cwd, env=variables, stdout=log, stderr=subprocess.STDOUT)

    def answers():
        with contextlib.suppress(OSError):
            return urllib.request.urlopen(f"{address}/api").status == 200
        assert server.poll() is None, (folder / "log").read_text()

    try:
        wait_for("answer of JupyterLab", answers, limit=60)
        yield address
    finally:
        stop(server)


@pytest.fixture(scope="module")
def lab(browser, project, tmp_path_factory):
    """Opens a notebook with small parameters in a JupyterLab whose folder is outside of the project."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "notebooks").mkdir()
    write_notebook(folder / "notebooks" / "welcome.ipynb", {})
    for name, values in SMALL.items():
        write_notebook(folder / "notebooks" / f"{name}.ipynb", values | {"profile": "browser"})
    settings = folder / "settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    (settings / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}')  # all cells are in the page
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder / 'notebooks'}", *OPTIONS]
    variables = {"JUPYTERLAB_SETTINGS_DIR": str(folder / "settings")}
    with started_lab(command, folder, folder, project, **variables) as address:
        page = browser.new_page(viewport={"width": 1180, "height": 860})
        page.set_default_timeout(60_000)
        yield lambda name: Notebook(page, address, name)
        page.close()


class Notebook:
    """A notebook that a person opens and runs from top to bottom."""

    def __init__(self, page, address, name):
        self.page, self.name = page, name
        page.goto(f"{address}/lab/tree/{name}.ipynb?reset")
        page.wait_for_selector(".jp-Notebook .jp-Cell")
        self.wait_until_idle()
        for entry in ("Run", "Run All Cells"):
            page.get_by_role("menuitem", name=entry, exact=True).click()

    def cells(self) -> list[dict]:
        cells = self.page.evaluate("window.jupyterapp.shell.currentWidget.content.model.toJSON()")["cells"]
        return [cell | {"source": "".join(cell["source"])} for cell in cells]

    def cell(self, text: str):
        """The code cell with this text in the page."""
        (number,) = (n for n, one in enumerate(self.cells()) if one["cell_type"] == "code" and text in one["source"])
        return self.page.locator(".jp-Notebook-cell").nth(number)

    def outputs(self, text: str) -> list[dict]:
        (found,) = (one["outputs"] for one in self.cells() if one["cell_type"] == "code" and text in one["source"])
        return found

    def wait_until_idle(self) -> None:
        state = "window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status"
        wait_for(f"idle kernel of {self.name}", lambda: self.page.evaluate(state) == "idle", 60)

    def wait_until_all_ran(self, limit: float) -> None:
        def all_ran():
            cells = [cell for cell in self.cells() if cell["cell_type"] == "code"]
            errors = [one for cell in cells for one in cell["outputs"] if one["output_type"] == "error"]
            assert not errors, (self.name, errors[0]["ename"], errors[0]["evalue"])
            return all(cell["execution_count"] for cell in cells)

        wait_for(f"the last cell of {self.name}", all_ran, limit)
        self.wait_until_idle()


def test_make_lab_opens_the_welcome_page_with_the_kernel_of_the_environment(browser, project, tmp_path):
    command = ["make", "lab", f"LAB={' '.join(OPTIONS)}"]
    with (
        started_lab(command, project, tmp_path, project, JUPYTERLAB_WORKSPACES_DIR=str(tmp_path)) as address,
        browser.new_page() as page,
    ):
        page.goto(address)
        expect(page.locator(".jp-Notebook h1")).to_contain_text("getting started", timeout=60_000)
        assert page.url.endswith("/lab/tree/notebooks/welcome.ipynb")
        expect(page.locator(".jp-DirListing")).to_contain_text("part2_fashion_mnist.ipynb")
        kernels = json.load(urllib.request.urlopen(f"{address}/api/kernelspecs"))
        python = kernels["kernelspecs"][kernels["default"]]["spec"]["argv"][0]
        assert python in (str(project / ".venv" / "bin" / "python"), "python"), "Jupyter takes python for its own"
        assert "reports/by_hand/" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("name", ["welcome", "experiment"])
def test_a_notebook_runs_by_hand_from_another_folder(lab, name):
    lab(name).wait_until_all_ran(limit=120)


def test_a_training_shows_its_progress_and_the_cells_after_its_interruption_use_its_finished_epochs(lab, project):
    notebook = lab("part1_mnist")
    training, shown = notebook.cell("utilities.TrainingMonitor("), []

    def three_states():
        if training.locator("progress").count() and training.locator(".jp-RenderedSVG").count():
            curves = training.locator(".jp-RenderedSVG img, .jp-RenderedSVG svg").first
            state = training.locator(".jp-OutputArea").inner_text(), curves.evaluate("e => e.src || e.outerHTML")
            if not shown or all(before != now for before, now in zip(shown[-1], state, strict=True)):
                shown.append(state)
        return len(shown) >= 3

    wait_for("curves that grow", three_states, limit=120)
    progress = r"LeNet-5 on MNIST: epoch \d+ of 1000 · .* so far, about .* left · validation F1 0\.\d{4}"
    assert re.search(progress, shown[0][0])
    notebook.page.locator('[data-command="notebook:interrupt-kernel"], [title^="Interrupt"]').first.click()
    notebook.wait_until_all_ran(limit=180)
    outputs = notebook.outputs("utilities.TrainingMonitor(")
    printed = "".join("".join(one["text"]) for one in outputs if one["output_type"] == "stream")
    epochs = int(re.search(r"Interrupted after epoch (\d+) of 1000", printed)[1])
    metrics = json.loads((project / "reports" / "browser" / "metrics" / "part1_mnist.json").read_text())
    assert metrics["trainings"]["LeNet-5"]["epochs"] == epochs


def test_every_control_changes_its_picture(lab):
    notebook = lab("part2_fashion_mnist")
    notebook.wait_until_all_ran(limit=600)
    cell = notebook.cell("explore.mistakes(")
    picture = cell.locator("figure img")
    cell.scroll_into_view_if_needed()
    expect(picture).to_be_visible()
    for kind, number, label in CONTROLS:
        before = picture.get_attribute("src")
        if kind == "menu":
            cell.locator("select").nth(number).select_option(label=label)
        else:
            cell.locator(".noUi-handle").nth(number).press("ArrowRight")
        expect(picture).not_to_have_attribute("src", before, timeout=30_000)
    assert not cell.locator("pre", has_text="Error").count()


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_the_page_about_a_hand_in_is_readable(browser, smoke_run, width, scheme):
    with browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme) as page:
        page.goto((smoke_run.output / "index.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        described = "images => images.every(image => image.naturalWidth > 0 && image.alt.length > 40)"
        assert page.locator("figure img").evaluate_all(described)
        style = "getComputedStyle(document.body)"
        colours = page.evaluate(f"[{style}.color, {style}.backgroundColor]")
        text, ground = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in colours)
        assert (text > 600 and ground < 150) if scheme == "dark" else (ground > 600 and text < 150)
        for link in page.locator("a[href$='.pdf'], a[href$='.ipynb']").all():
            assert (smoke_run.output / link.get_attribute("href")).exists()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "To the results"
        page.keyboard.press("Enter")
        assert page.url.endswith("#results")
