"""The demo as ``edge-harmony demo --web`` serves it, in a real browser; and what it says when something is missing."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_harmony.errors import SinkError
from edge_harmony.web.browser_demo import BrowserDemo
from tests.cli.runner import run

ROOT = Path(__file__).resolve().parents[2]

_CANVAS = """() => {
    const canvas = document.querySelector('#stage canvas');
    const copy = new OffscreenCanvas(canvas.width, canvas.height);
    const pen = copy.getContext('2d');
    pen.drawImage(canvas, 0, 0);
    const at = (x, y) => [...pen.getImageData(x * canvas.width, y * canvas.height, 1, 1).data.slice(0, 3)];
    return { width: canvas.width, corner: at(0.9, 0.1), face: at(0.44, 0.35), edge: at(0.2, 0.95) };
}"""


def eventually(page: Any, check: Callable[[], bool], seconds: float = 60) -> None:
    for _ in range(int(seconds * 5)):
        if check():
            return
        page.wait_for_timeout(200)
    raise AssertionError(page.locator("#state").inner_text())


def test_the_page_harmonizes_the_clip(chromium: Any, demo: BrowserDemo) -> None:
    page = chromium.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    elsewhere: list[str] = []
    page.on("request", lambda request: elsewhere.append(request.url) if demo.url[:20] not in request.url else None)
    page.goto(demo.url)
    eventually(page, lambda: "frames a second" in page.locator("#state").inner_text())
    assert "base.onnx on wasm, " in page.locator("#state").inner_text()
    page.get_by_label("dark blue").check()
    eventually(page, lambda: page.evaluate(_CANVAS)["corner"] == [0x1D, 0x35, 0x57])
    seen = page.evaluate(_CANVAS)
    assert seen["width"] == 640
    assert np.abs(np.subtract(seen["face"], [0x1D, 0x35, 0x57])).max() > 40, "the person is there"
    page.get_by_role("button", name="Pause").click()
    page.get_by_label("Strength").fill("0")
    page.get_by_label("evening").check()
    eventually(page, lambda: page.evaluate(_CANVAS)["corner"] == [0xF2, 0xA6, 0x5A])
    plain = page.evaluate(_CANVAS)["edge"]
    page.get_by_label("Strength").fill("100")
    eventually(page, lambda: page.evaluate(_CANVAS)["edge"] != plain)
    page.get_by_label("Light round").fill("100")
    eventually(page, lambda: page.evaluate("() => document.getElementById('wrap-value').textContent") == "100 %")
    page.get_by_label("Light round").fill("0")
    page.get_by_label("Before").fill("100")
    eventually(page, lambda: page.evaluate(_CANVAS)["edge"] == plain)
    assert not faults
    assert [url for url in elsewhere if not url.startswith(("blob:", "data:"))] == []
    page.close()


def test_only_the_demo_and_the_package_are_served(demo: BrowserDemo) -> None:
    home = demo.url.removesuffix("/demo/index.html")
    with urllib.request.urlopen(home + "/") as answer:
        assert answer.url == demo.url
        assert "wasm-unsafe-eval" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    for path in (
        "/package.json",
        "/node_modules/",
        "/demo/",
        "/dist/../package.json",
        "/dist/%2e%2e/package.json",
        "/src",
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(home + path)
        assert refused.value.code == 404, path


def test_what_is_not_built_is_said(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="is not there") as missing:
        BrowserDemo(0, tmp_path)
    assert "source" in missing.value.hint
    (tmp_path / "demo").mkdir()
    shutil.copy(ROOT / "web-sdk" / "demo" / "index.html", tmp_path / "demo")
    with pytest.raises(SinkError, match="not built") as unbuilt:
        BrowserDemo(0, tmp_path)
    assert "npm ci --prefix web-sdk && npm run build --prefix web-sdk" in unbuilt.value.hint


def test_without_web_the_command_says_what_there_is() -> None:
    done = run("demo")
    assert done.code == 2
    assert "--web" in done.err


def test_the_command_serves_until_it_is_stopped(sdk: Path) -> None:
    words = [sys.executable, "-m", "edge_harmony", "demo", "--web", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/demo/index\.html", url)
        with urllib.request.urlopen(url) as answer:
            assert b"harmonized in this browser" in answer.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
