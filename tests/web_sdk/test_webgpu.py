"""The networks on WebGPU, in software: the same pictures as on WASM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edge_harmony import Compositor, load_harmonizer
from edge_harmony.web.browser_demo import BrowserDemo
from tests.web_sdk.page import SdkPage
from tests.web_sdk.scenes import drawn


@pytest.mark.slow
def test_pictures_by_webgpu(demo: BrowserDemo, start_chromium: Callable[..., Any]) -> None:
    browser = start_chromium("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")
    try:
        page = SdkPage(browser.new_page(), demo)
        if not page.run("async () => Boolean(await navigator.gpu?.requestAdapter())"):
            pytest.skip("this Chromium has no WebGPU in software")
        assert page.create(model="nano", backend="webgpu") == "nano.onnx on webgpu"
        scene = drawn(120, 200, 14)
        with load_harmonizer("nano", threads=1) as nano:
            expected = Compositor(nano).process(*scene)
        assert np.abs(page.process(*scene).astype(int) - expected).max() <= 1
        # By itself a software adapter is passed over, and that is said.
        said = page.create(model="nano", backend="auto")
        assert said.startswith("nano.onnx on wasm")
        assert "not webgpu: the adapter is software" in said
        assert not page.faults
    finally:
        browser.close()
