"""A camera's track, harmonized, through a peer connection: the person arrives on the new background, and moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_harmony.web.browser_demo import BrowserDemo
from tests.web_sdk.page import SdkPage, from_page
from tests.web_sdk.scenes import person_clip

_CALL = """async (by) => {
    const camera = await navigator.mediaDevices.getUserMedia({ video: true });
    globalThis.source = camera.getVideoTracks()[0];
    globalThis.errors = [];
    globalThis.shown = 0;
    globalThis.track = h.harmonizeTrack(source, {
        background: '#00ff00', by, onError: (error) => errors.push(String(error)), onFrame: () => { shown += 1; },
    });
    const [near, far] = [new RTCPeerConnection(), new RTCPeerConnection()];
    near.onicecandidate = ({ candidate }) => far.addIceCandidate(candidate);
    far.onicecandidate = ({ candidate }) => near.addIceCandidate(candidate);
    const video = document.createElement('video');
    video.muted = true;
    far.ontrack = (event) => { video.srcObject = new MediaStream([event.track]); video.play(); };
    near.addTrack(track, new MediaStream([track]));
    await near.setLocalDescription(await near.createOffer());
    await far.setRemoteDescription(near.localDescription);
    await far.setLocalDescription(await far.createAnswer());
    await near.setRemoteDescription(far.localDescription);
    globalThis.remote = video;
    globalThis.peers = [near, far];
}"""
_SEEN = """() => {
    const copy = new OffscreenCanvas(remote.videoWidth || 1, remote.videoHeight || 1);
    const pen = copy.getContext('2d');
    pen.drawImage(remote, 0, 0);
    const { totalVideoFrames } = remote.getVideoPlaybackQuality();
    return { frames: totalVideoFrames, shown, errors, ...t.pixels(pen.getImageData(0, 0, copy.width, copy.height)) };
}"""


@pytest.fixture(scope="module")
def camera(sdk: Path, start_chromium: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser whose camera films a person."""
    film = tmp_path_factory.mktemp("camera") / "person.y4m"
    with film.open("wb") as file:
        file.write(b"YUV4MPEG2 W320 H240 F15:1 Ip A1:1 C420jpeg\n")
        for frame in person_clip(320, 240, frames=10):
            file.write(b"FRAME\n" + cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420).tobytes())
    browser = start_chromium(
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    )
    yield browser
    browser.close()


@pytest.mark.slow
@pytest.mark.parametrize("by", ["processor", "canvas"])
def test_through_a_peer_connection(camera: Any, demo: BrowserDemo, by: str) -> None:
    context = camera.new_context()
    page = SdkPage(context.new_page(), demo)
    page.create(model="nano", matte="person")
    page.run(_CALL, by)
    seen: dict[str, Any] = {}
    for _ in range(300):
        page.page.wait_for_timeout(100)
        seen = page.run(_SEEN)
        if seen["frames"] >= 6 and seen["shown"] >= 6:
            break
    assert seen["errors"] == []
    assert seen["frames"] >= 6
    picture = from_page(seen)
    height, width = picture.shape[:2]
    assert (width, height) == (320, 240)
    corner, middle = picture[:20, :60].mean((0, 1)), picture[height // 2 :, width // 3 : width // 2].mean((0, 1))
    assert corner == pytest.approx([0, 255, 0], abs=25), "the background"
    assert np.abs(middle - corner).max() > 60, "the person"
    # It ends with the camera, and lets go of it.
    page.run("() => source.stop()")
    for _ in range(100):
        if page.run("() => track.readyState") == "ended":
            break
        page.page.wait_for_timeout(100)
    assert page.run("() => track.readyState") == "ended"
    assert page.run("() => errors") == []
    page.run("() => { for (const peer of peers) peer.close(); h.close(); }")
    assert not page.faults
    context.close()


def test_a_track_that_cannot_be_taken(page: SdkPage) -> None:
    page.create(model="nano")
    failing = "() => { try { %s } catch (error) { return [error.fault, error.hint]; } }"
    assert page.run(failing % "h.harmonizeTrack({}, { background: '#fff' })") == [
        "matte",
        "createHarmonizer({ matte: 'person' })",
    ]
