"""The running stream: order, identities, callbacks, ends, threads, faults of the source."""

from __future__ import annotations

import itertools
import threading
import time
import traceback
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_harmony.errors import ConfigError, EdgeHarmonyError, SourceError
from edge_harmony.live import Controls
from edge_harmony.matte import Matte
from edge_harmony.pixels.over import over
from edge_harmony.sinks.picture_folder import PictureFolder
from tests.live.scenes import SIZE_HW, Camera, Frames, own_threads, picture, pipeline, wait_until

BACKGROUND = np.full((*SIZE_HW, 3), (0x60, 0x40, 0x20), np.uint8)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> object:
    before = own_threads()
    yield
    wait_until(lambda: len(own_threads()) <= len(before))


def test_a_file_loses_nothing_and_is_composited_exactly() -> None:
    with pipeline(Frames(20)) as running:
        results = list(running)
    assert [r.index for r in results] == list(range(20))
    for result in results:
        image, alpha = picture(result.index)
        assert np.array_equal(result.image_bgr, over(image, alpha, BACKGROUND))
        assert np.array_equal(result.alpha, alpha)
    assert all(b.pts_s > a.pts_s for a, b in itertools.pairwise(results))
    assert running.figures.snapshot()["dropped"]["source"] == 0


def test_callbacks_see_every_frame_in_the_calling_thread() -> None:
    seen: list[tuple[str, int, int]] = []
    here = threading.get_ident()

    def note(kind: str) -> object:
        return lambda item: seen.append((kind, item.index, threading.get_ident()))

    with pipeline(Frames(5)) as running:
        summary = running.run(on_result=note("result"), on_frame=note("frame"))
    assert seen == [(kind, i, here) for i in range(5) for kind in ("frame", "result")]
    assert summary["frames"] == 5


@pytest.mark.parametrize("kind", ["on_result", "on_frame"])
def test_an_exception_in_a_callback_ends_it_with_its_traceback(kind: str) -> None:
    source = Frames(1000)

    def broken_callback(item: object) -> None:
        raise ZeroDivisionError("in the user's code")

    running = pipeline(source)
    with pytest.raises(ZeroDivisionError) as caught:
        running.run(**{kind: broken_callback})
    assert "broken_callback" in "".join(traceback.format_tb(caught.value.__traceback__))
    assert not own_threads()
    assert source.closed


def test_an_exception_in_the_loop_closes_everything() -> None:
    def loop() -> None:
        with pipeline(Camera()) as running:
            for _ in running:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        loop()
    assert not own_threads()


def test_leaving_the_loop_closes_everything_even_without_with() -> None:
    running = pipeline(Camera())
    for _ in running:
        break
    wait_until(lambda: not own_threads())
    running.close()


def test_two_pipelines_at_once() -> None:
    with pipeline(Frames(8)) as one, pipeline(Camera(), background="#ff0000") as two:
        pairs = [(a, b) for a, b in zip(one, two, strict=False)]
    assert len(pairs) == 8
    assert all(a.image_bgr[0, 0].tolist() == [0x60, 0x40, 0x20] for a, _ in pairs)
    assert all(b.image_bgr[0, 0].tolist() == [0, 0, 255] for _, b in pairs)


def test_it_runs_once() -> None:
    running = pipeline(Frames(2))
    assert len(list(running)) == 2
    with pytest.raises(EdgeHarmonyError, match="once"):
        list(running)


def test_stop_from_another_thread_and_quit() -> None:
    running = pipeline(Camera())
    threading.Timer(0.2, running.stop).start()
    assert len(list(running)) >= 1
    running = pipeline(Camera())
    running.controls.act("quit")
    list(running)


def test_errors_of_the_source_arrive() -> None:
    class Broken(Frames):
        def __iter__(self):
            yield from super().__iter__()
            raise SourceError("the file is cut short", "copy it again")

    running = pipeline(Broken(3))
    seen: list[int] = []
    with pytest.raises(SourceError, match="cut short"):
        running.run(on_result=lambda result: seen.append(result.index))
    assert seen == [0, 1, 2]


def test_nothing_stays_open_when_opening_fails() -> None:
    source = Frames()
    with pytest.raises(SourceError):
        pipeline(source, background="no/such/picture.jpg")
    assert source.closed
    assert not own_threads()
    with pytest.raises(ConfigError):
        pipeline(Frames(), background="blur:900")


def test_a_slow_consumer_of_a_camera_gets_fresh_frames() -> None:
    ages = []
    with pipeline(Camera()) as running:
        for result in running:
            time.sleep(0.08)
            ages.append(result.latency_ms)
            if len(ages) == 25:
                break
        dropped = running.figures.snapshot()["dropped"]["source"]
    assert dropped > 50
    assert np.median(ages[-8:]) < np.median(ages[2:10]) + 100  # flat, not growing by 70 ms a frame


def test_camera_vanishes_and_comes_back() -> None:
    camera = Camera()
    with pipeline(camera) as running:
        stream = iter(running)
        result = next(stream)
        while result.index < 3:
            result = next(stream)
        camera.plugged.clear()
        while not result.held:
            last, result = result, next(stream)
        assert np.array_equal(result.image_bgr, last.image_bgr)  # the last good picture
        assert "lost" in running.figures.notice
        assert running.figures.snapshot()["state"] == "lost"
        camera.plugged.set()
        times = [result.pts_s]
        while result.held:
            result = next(stream)
            times.append(result.pts_s)
        assert times == sorted(times)
        assert camera.connections >= 2
        snapshot = running.figures.snapshot()
        assert snapshot["outages"] == 1
        assert snapshot["held"] >= 1
        stream.close()


def test_background_alone_while_the_source_is_lost() -> None:
    camera = Camera()
    with pipeline(camera, hold="background") as running:
        stream = iter(running)
        next(stream)
        camera.plugged.clear()
        result = next(stream)
        while not result.held:
            result = next(stream)
        assert np.array_equal(result.image_bgr, BACKGROUND)
        stream.close()


def test_size_changes_in_mid_stream() -> None:
    camera = Camera()
    sizes = []
    with pipeline(camera, background="blur") as running:
        for result in running:
            sizes.append(result.image_bgr.shape[:2])
            assert result.alpha.shape == result.image_bgr.shape[:2]
            if len(sizes) == 5:
                camera.size_hw = (120, 100)
            if sizes[-1] == (120, 100) and sizes.count((120, 100)) == 5:
                break
    assert sizes[0] == SIZE_HW


def test_a_folder_gets_each_picture_in_its_own_size(tmp_path: Path) -> None:
    camera, sizes = Camera(), []
    with pipeline(camera, sinks=[PictureFolder(f"{tmp_path}/", lossless=True)]) as running:
        for result in running:
            sizes.append(result.image_bgr.shape[:2])
            camera.size_hw = (120, 100)
            if sizes.count((120, 100)) == 2:
                break
    written = [cv2.imread(str(path)).shape[:2] for path in sorted(tmp_path.iterdir())]
    assert written == sizes
    assert set(sizes) == {SIZE_HW, (120, 100)}


def test_controls_act_on_the_next_frames() -> None:
    controls = Controls()
    with pipeline(Camera(), controls=controls) as running:
        stream = iter(running)
        next(stream)
        controls.set("background", "#ff0000")
        wait_for(stream, lambda r: r.image_bgr[0, 0].tolist() == [0, 0, 255])
        controls.set("matte_view", True)
        wait_for(stream, lambda r: set(np.unique(r.image_bgr)) <= {0, 255} and np.ptp(r.image_bgr, axis=2).max() == 0)
        controls.update({"matte_view": False, "frozen": True})
        held = wait_for(stream, lambda r: r.held)
        assert np.array_equal(held.image_bgr, next(stream).image_bgr)
        controls.update({"frozen": False, "compare": "side"})
        wait_for(stream, lambda r: not r.held and r.image_bgr.shape[:2] == SIZE_HW)
        controls.update({"compare": "off", "grow": 10.0})
        wait_for(stream, lambda r: (r.alpha > 0).sum() > 50 * 40 * 1.2)
        stream.close()


def test_next_background_goes_round() -> None:
    with pipeline(Camera(), background=["#ff0000", "#00ff00"]) as running:
        stream = iter(running)
        next(stream)
        assert running.controls.describe()[8]["choices"] == ["#ff0000", "#00ff00"]
        running.controls.act("next_background")
        wait_for(stream, lambda r: r.image_bgr[0, 0].tolist() == [0, 255, 0])
        running.controls.act("next_background")
        wait_for(stream, lambda r: r.image_bgr[0, 0].tolist() == [0, 0, 255])
        stream.close()


def test_next_background_reaches_what_a_page_offers() -> None:
    with pipeline(Camera(), background="#ff0000") as running:
        stream = iter(running)
        next(stream)
        running.controls.offer("background", "#00ff00")
        running.controls.act("next_background")
        wait_for(stream, lambda r: r.background_bgr[0, 0].tolist() == [0, 255, 0])
        assert running.controls.suggested("background") == ("#ff0000", "#00ff00")


class Page:
    """A sink that gets what a page gets."""

    name, lossless, wants_plain = "page", False, True

    def __init__(self) -> None:
        self.seen: list[tuple[np.ndarray, np.ndarray]] = []

    def start(self, *_: object) -> None: ...

    def write(self, image_bgr: np.ndarray, _pts_s: float, before_bgr: np.ndarray) -> None:
        self.seen.append((image_bgr, before_bgr))

    def close(self) -> None: ...

    def abort(self) -> None: ...


@pytest.mark.parametrize("compare", ["split", "side"])
def test_a_page_gets_the_picture_without_the_comparison(compare: str) -> None:
    page = Page()
    with pipeline(Frames(2), controls=Controls({"compare": compare}), sinks=[page]) as running:
        results = list(running)
    for result, (image, before) in zip(results, page.seen, strict=True):
        expected = over(*picture(result.index), BACKGROUND)
        assert np.array_equal(image, expected)
        assert np.array_equal(before, expected)
        assert not np.array_equal(result.image_bgr, expected)


class CutOuts:
    """A sink with alpha, beside those without."""

    name, lossless, alpha = "cut-outs", True, True

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def start(self, *_: object) -> None: ...

    def write(self, image_bgr: np.ndarray, _pts_s: float) -> None:
        self.seen.append(image_bgr)

    def close(self) -> None: ...

    def abort(self) -> None: ...


def test_a_sink_with_alpha_gets_the_subject_alone_whatever_others_see() -> None:
    sink = CutOuts()
    with pipeline(Frames(3), controls=Controls({"compare": "split"}), sinks=[sink]) as running:
        results = list(running)
    for result, cut_out in zip(results, sink.seen, strict=True):
        image, alpha = picture(result.index)
        assert result.image_bgr.shape[2] == 3
        assert np.array_equal(cut_out[..., 3], alpha)
        assert np.array_equal(cut_out[..., :3][alpha > 0], image[alpha > 0])


def test_a_held_cut_out_is_the_last_one_again() -> None:
    controls = Controls()
    with pipeline(Camera(), controls=controls) as running:
        stream = iter(running)
        next(stream)
        controls.set("frozen", True)
        held = wait_for(stream, lambda r: r.held)
        first = held.cut_out()
        assert next(stream).cut_out() is first
        stream.close()


def test_a_background_that_cannot_be_opened_leaves_the_last() -> None:
    with pipeline(Camera()) as running:
        stream = iter(running)
        next(stream)
        running.controls.set("background", "gone.jpg")
        wait_for(stream, lambda r: "last background stays" in running.figures.notice)
        for _ in range(5):
            assert next(stream).image_bgr[0, 0].tolist() == [0x60, 0x40, 0x20]
        assert running.controls.get("background") == "#204060"
        stream.close()


def wait_for(stream: object, true: object, most: int = 1000) -> object:
    """The first result for which something holds."""
    for _ in range(most):
        result = next(stream)
        if true(result):
            return result
    raise AssertionError("it did not happen")


def test_auto_says_what_it_took() -> None:
    said: list[str] = []
    list(pipeline(Frames(2), matte="auto", say=said.append))
    assert said == ["matte: the alpha that comes with frames"]
    said.clear()

    class Screen(Frames):
        has_alpha = False

        def __iter__(self):
            for frame in itertools.islice(super().__iter__(), 15, None):  # the square is off the border by then
                image = np.where(frame.alpha[..., None] > 0, frame.image_bgr, (64, 177, 0))
                yield replace(frame, image_bgr=image.astype(np.uint8), alpha=None)

    with pipeline(Screen(18), matte="auto", say=said.append) as running:
        last = list(running)[-1]
    assert len(said) == 1
    assert "chroma" in said[0]
    assert last.image_bgr[0, 0].tolist() == [0x60, 0x40, 0x20]
    assert 0.5 < (last.alpha > 128).sum() / (50 * 40) < 1.2


def test_a_clean_plate_is_taken_after_a_countdown() -> None:
    """Until there is a plate nothing is subject; afterwards whatever differs from it is."""

    class Room(Camera):
        has_alpha = False

        def __init__(self) -> None:
            super().__init__((180, 240))
            self.person = False

        def __iter__(self):
            noise = np.random.default_rng(0)
            room = cv2.resize(noise.integers(60, 200, (12, 16, 3), np.uint8), (240, 180))
            for frame in super().__iter__():
                image = np.clip(room + noise.normal(0, 1.5, room.shape), 0, 255).astype(np.uint8)
                if self.person:
                    image[40:150, 80:160] = (250, 20, 20)
                yield replace(frame, image_bgr=image, alpha=None)

    room = Room()
    with pipeline(room, matte="plate") as running:
        running._subject.countdown._countdown_s = 0.3
        stream = iter(running)
        first = next(stream)
        assert not first.alpha.any()
        assert running.figures.snapshot()["countdown"]
        wait_for(stream, lambda r: not running._subject.countdown.running)
        room.person = True
        seen = wait_for(stream, lambda r: (r.alpha[60:130, 95:145] > 200).mean() > 0.9)
        assert (seen.alpha[:20] > 50).mean() < 0.05
        running.controls.act("plate")  # again
        wait_for(stream, lambda r: running._subject.countdown.running)
        stream.close()


def test_the_smoothing_starts_afresh_with_a_new_background(monkeypatch: pytest.MonkeyPatch) -> None:
    with pipeline(Camera(), background=["#ff0000", "#00ff00"]) as running:
        resets = []
        monkeypatch.setattr(running.compositor, "reset", lambda: resets.append(1))
        stream = iter(running)
        for _ in range(4):
            next(stream)
        assert not resets
        running.controls.act("next_background")
        wait_for(stream, lambda r: r.image_bgr[0, 0].tolist() == [0, 255, 0])
        assert resets == [1]
        stream.close()


class Two(Frames):
    """Two squares, the larger one on the right."""

    def __iter__(self):
        for frame in super().__iter__():
            image, alpha = np.full((*SIZE_HW, 3), 60, np.uint8), np.zeros(SIZE_HW, np.uint8)
            for left, side, colour in ((10, 40, (40, 40, 200)), (90, 60, (200, 60, 40))):
                image[20 : 20 + side, left : left + side], alpha[20 : 20 + side, left : left + side] = colour, 255
            yield replace(frame, image_bgr=image, alpha=alpha)


def test_one_of_two_is_chosen_while_it_runs() -> None:
    controls = Controls({"subject": "largest"})
    kept = []
    with pipeline(Two(12), controls=controls) as running:
        for result in running:
            kept.append((bool(result.alpha[30, 30]), bool(result.alpha[30, 120])))
            if result.index == 4:
                controls.set("subject", "0.15,0.4")  # as a click says it
    assert kept[0] == (False, True)
    assert kept[-1] == (True, False)
    with pytest.raises(ConfigError, match="subject"):
        controls.set("subject", "biggest")


class Comes(Matte):
    """Finds somebody in every second half of the stream."""

    name = "comes"
    seen = 0

    def _alpha_impl(self, frame_bgr):
        self.seen += 1
        return np.full(frame_bgr.shape[:2], 255 if self.seen > 6 else 0, np.uint8)


@pytest.mark.parametrize("nobody", ["background", "picture"])
def test_nobody_there_is_said_and_shown_as_chosen(nobody: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_harmony.live.parts._EMPTY_S", 0.0)
    said = []
    source = Frames(12)
    with pipeline(source, matte=Comes(), controls=Controls({"nobody": nobody}), estimate=False) as running:
        monkeypatch.setattr(running.figures, "say", lambda text, seconds=0.0: said.append(text))
        results = list(running)
    shown = BACKGROUND if nobody == "background" else picture(0)[0]
    assert np.array_equal(results[0].image_bgr, shown)
    assert np.array_equal(results[-1].image_bgr, picture(11)[0])
    assert said == ["nobody is there", "somebody is there"]
