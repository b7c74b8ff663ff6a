"""The browser package, built from its sources as they are, on a page in a real headless Chromium."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_harmony.web.browser_demo import BrowserDemo
from tests.web_sdk.page import SdkPage

ROOT = Path(__file__).resolve().parents[2]
SDK = ROOT / "web-sdk"
MODELS = ROOT / "edge_harmony" / "models"
CHROMIUM = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="session")
def sdk() -> Path:
    """The folder ``web-sdk`` with ``dist`` built; tests are skipped where npm or its packages are missing."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    if not (SDK / "node_modules" / "typescript").is_dir():
        pytest.skip("the browser package's tools are not installed: npm ci --prefix web-sdk")
    sources = [SDK / "package.json", SDK / "tsconfig.json", *(SDK / "src").rglob("*.ts"), *MODELS.glob("*.onnx")]
    built = SDK / "dist" / "LICENSE"  # what is written last
    if not built.exists() or built.stat().st_mtime < max(path.stat().st_mtime for path in sources):
        done = subprocess.run(["npm", "run", "build"], cwd=SDK, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
    return SDK


@pytest.fixture(scope="session")
def demo(sdk: Path) -> Iterator[BrowserDemo]:
    with BrowserDemo(0, sdk) as demo:
        yield demo


@pytest.fixture(scope="session")
def start_chromium() -> Iterator[Callable[..., Any]]:
    """Starts browsers with arguments; tests are skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = os.environ.get("EDGE_HARMONY_CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        pytest.skip("no Chromium: install one (Debian: chromium-headless-shell) or name it in EDGE_HARMONY_CHROMIUM")
    with playwright.sync_playwright() as driver:
        yield lambda *args: driver.chromium.launch(executable_path=program, args=["--no-sandbox", *args])


@pytest.fixture(scope="session")
def chromium(sdk: Path, start_chromium: Callable[..., Any]) -> Iterator[Any]:
    browser = start_chromium("--enable-precise-memory-info", "--js-flags=--expose-gc")
    yield browser
    browser.close()


@pytest.fixture
def page(chromium: Any, demo: BrowserDemo) -> Iterator[SdkPage]:
    """A page of the package's own origin, with the strict policy that the demo has, and nothing on it."""
    context = chromium.new_context()
    opened = SdkPage(context.new_page(), demo)
    yield opened
    context.close()
    assert not opened.faults
