"""The page in a real headless Chromium: pictures move, sliders act, uploads change the background, it reconnects."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_harmony.capture.picture import read_colour
from edge_harmony.live.controls import Controls
from edge_harmony.web import WebSink
from tests.web.visitor import FixedFigures, Player, encode, eventually

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")
DESKTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}

# The colour in the middle of a canvas, and what is written on the page.
MIDDLE = """id => {
    const canvas = document.getElementById(id);
    return canvas.getContext('2d').getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data[0];
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser; tests are skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = os.environ.get("EDGE_HARMONY_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no Chromium: install one (Debian: chromium-headless-shell) or name it in EDGE_HARMONY_CHROMIUM")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Opens pages, and fails when one of them reported an error of its script or of its security policy."""
    contexts, faults = [], []

    def open_page(url: str, **device: Any) -> Any:
        context = chromium.new_context(**(device or DESKTOP))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if "Content Security" in said.text else None)
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not faults


def until(page: Any, condition: str) -> None:
    """Wait until something holds on the page (whose policy forbids what the driver's own waiting does)."""
    eventually(lambda: page.evaluate(condition))


def live(page: Any) -> Any:
    """Wait until pictures are shown."""
    until(page, "document.getElementById('state').dataset.is === 'live'")
    return page


def drag(page: Any, selector: str, to: float) -> None:
    """Drag a slider's thumb to a share of its width, with the mouse."""
    page.locator(selector).scroll_into_view_if_needed()
    box = page.locator(selector).bounding_box()
    value, low, high = (float(page.locator(selector).evaluate(f"e => e.{name}")) for name in ("value", "min", "max"))
    middle = box["y"] + box["height"] / 2
    at = 9 + (value - low) / (high - low) * (box["width"] - 18)
    page.mouse.move(box["x"] + at, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + to * box["width"], middle, steps=6)
    page.mouse.up()


@pytest.mark.parametrize("device", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_pictures_move(sink: WebSink, player: Player, open_page: Any, device: dict[str, Any]) -> None:
    page = live(open_page(sink.url, **device))
    seen = set()
    eventually(lambda: seen.add(page.evaluate(MIDDLE, "after")) or len(seen) >= 5)
    assert page.locator("#veil").is_hidden()
    assert page.locator("#fps").inner_text() == "29.9"
    assert page.locator("#stages dt").all_inner_texts() == ["matte", "composite"]
    width = page.viewport_size["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing sticks out sideways"


def test_sliders_act_and_follow(sink: WebSink, player: Player, controls: Controls, open_page: Any) -> None:
    page = live(open_page(sink.url))
    drag(page, "#c-strength", 0.3)
    eventually(lambda: 0.2 < controls.get("strength") < 0.4)
    page.locator("#c-grain").focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    eventually(lambda: controls.get("grain") == 0.05)
    page.locator("#s-matte summary").click()
    drag(page, "#c-grow", 0.9)
    eventually(lambda: controls.get("grow") > 16)
    controls.set("light_wrap", 0.6)  # somebody else
    until(page, "document.getElementById('c-light_wrap').value === '0.6'")
    page.locator("label[for=c-strength]").locator("xpath=..").locator(".reset").click()
    eventually(lambda: controls.get("strength") == 1.0)


def test_black_and_white_cannot_cross_and_the_page_says_so(
    sink: WebSink, player: Player, controls: Controls, open_page: Any
) -> None:
    controls.set("black", 0.5)
    page = live(open_page(sink.url))
    page.locator("#s-matte summary").click()
    drag(page, "#c-white", 0.05)
    page.wait_for_selector(".toast.bad")
    assert controls.get("white") > 0.5
    eventually(lambda: float(page.locator("#c-white").input_value()) > 0.5)


def test_a_finger_moves_sliders_on_a_phone(sink: WebSink, player: Player, controls: Controls, open_page: Any) -> None:
    page = live(open_page(sink.url, **PHONE))
    box = page.locator("#c-smoothing").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] * 0.25, box["y"] + box["height"] / 2)
    eventually(lambda: controls.get("smoothing") < 0.4)
    page.locator("#t-matte_view").tap()
    eventually(lambda: controls.get("matte_view"))


def test_before_and_after(sink: WebSink, player: Player, controls: Controls, open_page: Any) -> None:
    page = live(open_page(sink.url))
    assert page.locator("#before").is_hidden()
    page.locator("#t-compare").click()
    page.wait_for_selector("#before", state="visible")
    eventually(lambda: sink.wants_plain)
    # Both canvases show the same moment: 100 codes apart, whatever the moment.
    both = f"() => [({MIDDLE})('after'), ({MIDDLE})('before')]"
    eventually(lambda: abs(np.subtract(*page.evaluate(both)) - 100) <= 4)
    drag_to = page.locator("#frame").bounding_box()
    page.locator("#handle").hover()
    page.mouse.down()
    page.mouse.move(drag_to["x"] + 0.2 * drag_to["width"], drag_to["y"] + 50, steps=5)
    page.mouse.up()
    assert int(page.locator("#handle").get_attribute("aria-valuenow")) == pytest.approx(20, abs=1)
    assert controls.get("compare") == "off", "it is this visitor's alone"
    page.keyboard.press("c")
    page.wait_for_selector("#before", state="hidden")
    eventually(lambda: not sink.wants_plain)


def test_who_is_double_clicked_is_the_subject(
    sink: WebSink, player: Player, controls: Controls, open_page: Any
) -> None:
    page = live(open_page(sink.url))
    box = page.locator("#frame").bounding_box()
    page.mouse.dblclick(box["x"] + 0.25 * box["width"], box["y"] + 0.6 * box["height"])
    eventually(lambda: controls.get("subject") != "all")
    x, y = map(float, controls.get("subject").split(","))
    assert abs(x - 0.25) < 0.02
    assert abs(y - 0.6) < 0.02
    page.locator("#s-matte").evaluate("e => { e.open = true; }")
    page.get_by_role("button", name="all", exact=True).click()
    eventually(lambda: controls.get("subject") == "all")


def test_keys_do_what_they_do_in_a_window(sink: WebSink, player: Player, controls: Controls, open_page: Any) -> None:
    page = live(open_page(sink.url))
    for key in ("h", "m", "f", " ", "[", "b", "s", "p"):
        page.keyboard.press(key)
    eventually(lambda: controls.get("strength") == 0.9)
    values = controls.snapshot()
    assert [values[name] for name in ("harmonize", "matte_view", "figures", "frozen")] == [False, True, True, True]
    actions: list[str] = []
    eventually(lambda: actions.extend(controls.take_actions()) or len(actions) == 3)
    assert sorted(actions) == ["next_background", "plate", "screenshot"]
    page.keyboard.press("?")
    assert "Screenshot" in page.locator("#keys").inner_text() or "screenshot" in page.locator("#keys").inner_text()
    page.keyboard.press("Escape")
    page.keyboard.press("q")
    page.locator("#sure button[value=no]").click()
    page.keyboard.press("q")
    page.locator("#sure button[value=yes]").click()
    eventually(lambda: controls.take_actions() == ["quit"])


def test_uploads_change_the_background(
    sink: WebSink, player: Player, controls: Controls, open_page: Any, tmp_path: Path
) -> None:
    picture = tmp_path / "meadow at noon.png"
    picture.write_bytes(encode(np.full((400, 640, 3), (40, 170, 60), np.uint8), ".png"))
    page = live(open_page(sink.url))
    page.locator("#upload").set_input_files(picture)
    eventually(lambda: controls.get("background").endswith("meadow at noon.jpg"))
    assert read_colour(controls.get("background"))[200, 320] == pytest.approx([40, 170, 60], abs=4)
    page.wait_for_selector('.tile[aria-pressed="true"] >> text=meadow at noon')
    until(page, "[...document.querySelectorAll('.tile img')].some((i) => i.naturalWidth === 320)")
    # A picture that is dropped, far larger than is of use: the page reduces it before it is sent.
    page.evaluate(
        """async () => {
            const canvas = document.createElement('canvas');
            canvas.width = 5000; canvas.height = 3000;
            const pen = canvas.getContext('2d');
            for (let i = 0; i < 6000; i += 1) {
                pen.fillStyle = `rgb(${(i * 7) % 256} ${(i * 13) % 256} ${(i * 29) % 256})`;
                pen.fillRect((i * 97) % 5000, (i * 61) % 3000, 90, 70);
            }
            const blob = await new Promise((done) => canvas.toBlob(done, 'image/png'));
            const carried = new DataTransfer();
            carried.items.add(new File([blob, new Uint8Array(4e6)], 'huge.png', { type: 'image/png' }));
            const drop = { dataTransfer: carried, bubbles: true, cancelable: true };
            document.body.dispatchEvent(new DragEvent('drop', drop));
        }"""
    )
    eventually(lambda: controls.get("background").endswith("huge.jpg"))
    assert read_colour(controls.get("background")).shape == (2304, 3840, 3)
    # Something that is no picture.
    before = controls.get("background")
    page.locator("#upload").set_input_files({"name": "a.jpg", "mimeType": "image/jpeg", "buffer": b"no picture"})
    page.wait_for_selector(".toast.bad >> text=no JPEG")
    assert controls.get("background") == before


def test_backgrounds_and_colours_are_chosen(
    sink: WebSink, player: Player, controls: Controls, open_page: Any, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.jpg").write_bytes(encode(np.full((90, 160, 3), 90, np.uint8)))
    specs = [str(tmp_path / "one.jpg"), str(tmp_path / "two.jpg")]
    controls.suggest("background", specs)
    controls.set("background", specs[0])
    page = live(open_page(sink.url))
    page.locator(".tile", has_text="two").click()
    eventually(lambda: controls.get("background") == specs[1])
    page.locator("input[type=color]").fill("#336699")
    eventually(lambda: controls.get("background") == "#336699")
    page.wait_for_selector('.tile.colour[aria-pressed="true"]')


def test_it_reconnects_by_itself(chromium: Any, open_page: Any) -> None:
    controls = Controls()
    sink = WebSink(0, controls, FixedFigures())
    port, player = sink.address.port, Player(sink)
    try:
        page = live(open_page(sink.url))
        player.close()
        sink.close()
        until(page, "document.getElementById('state').dataset.is === 'lost'")
        assert page.locator("#veil-title").inner_text() == "Connection lost"
        controls = Controls({"strength": 0.4})
        sink = WebSink(port, controls, FixedFigures())
        player = Player(sink)
        live(page)
        until(page, "document.getElementById('c-strength').value === '0.4'")
        drag(page, "#c-strength", 0.8)
        eventually(lambda: controls.get("strength") > 0.7)
    finally:
        player.close()
        sink.close()


def test_a_token_lets_in_and_leaves_the_address_bar(open_page: Any) -> None:
    with WebSink("0.0.0.0:0", Controls(), FixedFigures()) as sink:
        player = Player(sink)
        try:
            here = f"http://127.0.0.1:{sink.address.port}/"
            page = open_page(here)
            page.locator("input[name=token]").fill(sink.token)
            page.locator("button").click()
            live(page)
            assert page.url == here
            page.reload()
            live(page)
        finally:
            player.close()


def test_a_closed_page_costs_nothing(sink: WebSink, player: Player, open_page: Any) -> None:
    page = live(open_page(sink.url))
    assert sink.watched
    page.close()
    eventually(lambda: not sink.watched)
