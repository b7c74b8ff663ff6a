"""A page that has loaded the package, and pictures on their way to it and back."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.web.browser_demo import BrowserDemo

_LOADED = """async () => {
    const sdk = await import('/dist/index.js');
    const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const text = (data) => {
        let letters = '';
        for (let i = 0; i < data.length; i += 8192) letters += String.fromCharCode(...data.subarray(i, i + 8192));
        return btoa(letters);
    };
    const image = ({ rgba, width, height }) => new ImageData(new Uint8ClampedArray(bytes(rgba).buffer), width, height);
    const pixels = ({ data, width, height }) => ({ rgba: text(data), width, height });
    globalThis.t = { ...sdk, bytes, image, pixels, text };
}"""


class SdkPage:
    """The package on a page. ``run`` evaluates a script that finds its parts, and ways to pass pictures, in ``t``."""

    def __init__(self, page: Any, demo: BrowserDemo) -> None:
        self.page = page
        self.faults: list[str] = []
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda said: self.faults.append(said.text) if "Content Security" in said.text else None)
        page.goto(demo.url.replace("index.html", "style.css"))  # any file: what counts is the origin and its policy
        page.evaluate(_LOADED)

    def run(self, script: str, argument: Any = None) -> Any:
        return self.page.evaluate(script, argument)

    def create(self, **options: Any) -> str:
        """Make a harmonizer, ``h``; its summary, or what was wrong."""
        options = {"runtime": "/dist/ort/", "backend": "wasm", "threads": 1, **options}
        return self.run(
            """async (options) => {
                globalThis.h?.close();
                try { globalThis.h = await t.createHarmonizer(options); } catch (error) { return String(error); }
                return h.summary;
            }""",
            options,
        )

    def process(
        self, frame: NDArray[np.uint8], alpha: NDArray[np.uint8], background: NDArray[np.uint8] | None, **options: Any
    ) -> NDArray[np.uint8]:
        """One frame through ``h``: BGR pictures in, BGR out, uint8 (H, W, 3)."""
        result = self.run(
            """async ({ frame, alpha, background, options }) => {
                const behind = background ? { background: t.image(background) } : {};
                await h.process(t.image(frame), { alpha: t.bytes(alpha), ...behind, ...options });
                return t.pixels(h.readPixels());
            }""",
            {
                "frame": to_page(frame),
                "alpha": base64.b64encode(alpha.tobytes()).decode(),
                "background": None if background is None else to_page(background),
                "options": options,
            },
        )
        return from_page(result)


def to_page(bgr: NDArray[np.uint8]) -> dict[str, Any]:
    """A BGR picture as ``t.image`` takes it."""
    rgba = np.dstack([bgr[..., ::-1], np.full(bgr.shape[:2], 255, np.uint8)])
    return {"rgba": base64.b64encode(rgba.tobytes()).decode(), "width": bgr.shape[1], "height": bgr.shape[0]}


def from_page(picture: dict[str, Any]) -> NDArray[np.uint8]:
    """A picture of ``t.pixels`` as BGR."""
    rgba = np.frombuffer(base64.b64decode(picture["rgba"]), np.uint8).reshape(picture["height"], picture["width"], 4)
    return np.ascontiguousarray(rgba[..., 2::-1])
