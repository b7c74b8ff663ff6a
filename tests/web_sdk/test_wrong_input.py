"""Whatever is handed over wrongly is one error with a hint, and the next frame works."""

from __future__ import annotations

import re

import numpy as np

from edge_harmony import contract
from tests.web_sdk.page import SdkPage, to_page
from tests.web_sdk.scenes import drawn

_TRY = """async (code) => {
    const frame = new ImageData(96, 64);
    const alpha = new Uint8Array(96 * 64).fill(255, 0, 3000);
    try { await PARTS[code](frame, alpha); return null; } catch (error) {
        return [error.name, error.fault, error.message, error.hint];
    }
}"""
CASES = {
    "no picture": ("source", "(f, a) => h.process({}, { alpha: a })"),
    "a video without a frame": ("source", "(f, a) => h.process(document.createElement('video'), { alpha: a })"),
    "too small": ("source", "(f, a) => h.process(new ImageData(63, 63), { alpha: a })"),
    "no alpha": ("matte", "(f) => h.process(f)"),
    "alpha of another length": ("matte", "(f, a) => h.process(f, { alpha: a.subarray(1) })"),
    "alpha of another size": ("matte", "(f) => h.process(f, { alpha: new ImageData(64, 96) })"),
    "a colour that is none": ("config", "(f, a) => h.process(f, { alpha: a, background: 'beach.jpg' })"),
    "two at once": (
        "config",
        """async (f, a) => {
        const first = h.process(f, { alpha: a });
        try { await h.process(f, { alpha: a }); } finally { await first; }
    }""",
    ),
    "strength": ("config", "() => { h.strength = 1.5; }"),
    "smoothing": ("config", "() => { h.smoothing = 1; }"),
    "compare": ("config", "() => { h.compare = NaN; }"),
    "light wrap": ("config", "() => t.createHarmonizer({ lightWrap: -1 })"),
    "matte": ("config", "() => t.createHarmonizer({ matte: 'dog' })"),
    "backend": ("config", "() => t.createHarmonizer({ backend: 'cuda' })"),
    "fit": ("config", "() => t.createHarmonizer({ fit: 'fill' })"),
    "no such model": ("model", "() => t.createHarmonizer({ model: '/dist/models/none.onnx', runtime: '/dist/ort/' })"),
    "no model": ("model", "() => t.createHarmonizer({ model: '/dist/index.js', runtime: '/dist/ort/' })"),
    "a model of something else": (
        "model",
        "() => t.createHarmonizer({ model: '/dist/models/person.onnx', runtime: '/dist/ort/' })",
    ),
    "the runtime is elsewhere": ("backend", "() => t.createHarmonizer({ runtime: '/nowhere/', backend: 'wasm' })"),
    "no bundler": ("backend", "() => t.createHarmonizer({ backend: 'wasm' })"),
    "no reading before": ("source", "() => h.readPixels()"),
}


def test_everything_wrong_is_said(page: SdkPage) -> None:
    page.create(model="nano")
    for name, (fault, code) in reversed(CASES.items()):
        script = _TRY.replace("PARTS[code]", f"({code})").replace("async (code)", "async ()")
        found = page.run(script)
        assert found is not None, name
        assert found[:2] == ["EdgeHarmonyError", fault], (name, found)
        assert len(found[2]) > 10, name
        assert found[3], name
    scene = drawn(96, 160, 1)
    assert page.process(*scene).shape == scene.frame.shape, "the harmonizer works on"
    page.run("() => h.close()")
    assert "closed" in page.run("() => h.process(new ImageData(64, 64)).catch((error) => error.message)")


def test_a_model_of_another_contract_is_refused(page: SdkPage) -> None:
    answer = page.run(
        """async () => {
            const bytes = new Uint8Array(await (await fetch('/dist/models/nano.onnx')).arrayBuffer());
            const key = [...'edge_harmony.contract'].map((letter) => letter.charCodeAt(0));
            const at = bytes.findIndex((_, i) => key.every((code, k) => bytes[i + k] === code));
            bytes[at + key.length + 2] = '9'.charCodeAt(0);
            const found = [];
            for (const model of [bytes, bytes.subarray(0, bytes.length - 30)]) {
                const made = t.createHarmonizer({ model, runtime: '/dist/ort/' });
                await made.catch((error) => found.push(error.message));
            }
            return found;
        }"""
    )
    assert re.search(rf"contract version 9, not {contract.CONTRACT_VERSION}", answer[0])
    assert "damaged" in answer[1]


def test_backgrounds_are_brought_to_the_frame(page: SdkPage) -> None:
    """Cover fills and crops, contain leaves black, stretch does neither; a colour is a colour."""
    page.create(model="nano")
    scene = drawn(64, 128, 2)
    nobody = np.zeros_like(scene.alpha)
    square = np.zeros((80, 80, 3), np.uint8)
    square[:20], square[20:60], square[60:] = (0, 0, 255), (0, 255, 0), (255, 0, 0)
    seen = {}
    for fit in ("cover", "contain", "stretch"):
        page.run("(fit) => { h.fit = fit; }", fit)
        picture = page.process(scene.frame, nobody, square)
        seen[fit] = [tuple(int(v) // 200 for v in picture[y, x]) for y, x in ((4, 64), (32, 64), (60, 64), (32, 4))]
    red, green, blue, black = (0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 0, 0)
    assert seen == {
        "cover": [green, green, green, green],
        "contain": [red, green, blue, black],
        "stretch": [red, green, blue, green],
    }
    colour = page.run(
        """async (frame) => {
            await h.process(t.image(frame), { alpha: new Uint8Array(64 * 128), background: 'rgb(10 20 30)' });
            return [...h.readPixels().data.slice(0, 4)];
        }""",
        to_page(scene.frame),
    )
    assert colour == [10, 20, 30, 255]
