"""Five hundred frames leave no more behind than a hundred: no texture, no object, no memory of any process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.web_sdk.page import SdkPage, to_page
from tests.web_sdk.scenes import person_clip

_PREPARE = """() => {
    globalThis.made = 0;
    const { gl } = h.graphics;
    for (const name of ['createTexture', 'createFramebuffer', 'createProgram', 'createShader', 'createBuffer']) {
        const make = gl[name].bind(gl);
        gl[name] = (...rest) => { made += 1; return make(...rest); };
    }
    globalThis.canvas = new OffscreenCanvas(160, 96);
    globalThis.behind = new OffscreenCanvas(320, 100);
    globalThis.alpha = new Uint8Array(160 * 96);
}"""
_FRAMES = """async (count) => {
    const [pen, ground] = [canvas.getContext('2d'), behind.getContext('2d')];
    for (let k = 0; k < count; k += 1) {
        pen.fillStyle = `hsl(${k * 3} 60% 50%)`;
        pen.fillRect(0, 0, 160, 96);
        ground.fillStyle = `hsl(${k} 40% 60%)`;
        ground.fillRect(0, 0, 320, 100);
        alpha.fill(0);
        for (let y = 20; y < 90; y += 1) alpha.fill(255, 160 * y + 30 + k % 40, 160 * y + 80 + k % 40);
        const frame = new VideoFrame(canvas, { timestamp: 40000 * k });
        const finished = h.process(frame, { alpha, background: behind, timeMs: 40 * k, wait: k % 20 === 0 });
        frame.close();
        await finished;
        if (k % 10 === 0) h.readPixels();
    }
    gc();
    await new Promise((done) => setTimeout(done, 100));
    gc();
    return { heap: performance.memory.usedJSHeapSize, made, reused: h.reused };
}"""


def memory_mb() -> float:
    """Resident memory of all browser processes that this one started, in MB."""
    parents: dict[int, int] = {}
    pages: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                pages[int(folder.name)] = int((folder / "statm").read_text().split()[1])
            except OSError:
                continue

    def is_ours(process: int) -> bool:
        while process in parents:
            process = parents[process]
            if process == os.getpid():
                return True
        return False

    return sum(pages[process] for process in parents if is_ours(process)) * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_memory_is_flat_over_500_frames(page: SdkPage) -> None:
    page.create(model="nano")
    page.run(_PREPARE)
    before: dict[str, Any] = page.run(_FRAMES, 100)
    memory_before = memory_mb()
    after: dict[str, Any] = page.run(_FRAMES, 500)
    memory_after = memory_mb()
    assert after["reused"] < 300, "frames moved"
    assert after["made"] == before["made"]
    assert after["heap"] - before["heap"] < 0.5e6
    assert memory_after - memory_before < 12, "one frame left behind each time would be 30 MB"


def test_the_matte_makes_nothing_anew(page: SdkPage) -> None:
    page.create(model="nano", matte="person")
    page.run(_PREPARE)
    clip = [to_page(frame) for frame in person_clip(160, 120, frames=3)]
    frames = """async (clip) => {
        for (let k = 0; k < 12; k += 1) await h.process(t.image(clip[k % 3]), { background: '#336699', wait: false });
        gc();
        return { heap: performance.memory.usedJSHeapSize, made };
    }"""
    before, after = page.run(frames, clip), page.run(frames, clip)
    assert after["made"] == before["made"]
    assert after["heap"] - before["heap"] < 0.5e6
