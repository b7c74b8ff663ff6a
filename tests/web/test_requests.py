"""What a visitor gets and can change, and who is kept out."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_harmony.capture.picture import read_colour
from edge_harmony.errors import ConfigError, SinkError
from edge_harmony.live.controls import Controls
from edge_harmony.web import WebSink
from tests.web.test_picture_header import png_of
from tests.web.visitor import Client, Player, encode, eventually, web_threads

OURS = {"X-Edge-Harmony": "1", "Content-Type": "application/json"}


# -- pictures and figures ----------------------------------------------------------------------------------------


def test_pictures_follow_each_other(client: Client, player: Player) -> None:
    first, images = client.picture()
    second, _ = client.picture(after=first)
    assert images[0].shape == (180, 320, 3)
    assert int(second.split(".")[1]) > int(first.split(".")[1])


def test_result_and_plain_composite_are_of_one_moment(client: Client, player: Player, sink: WebSink) -> None:
    client.picture(plain=True)
    eventually(lambda: len(client.picture(plain=True)[1]) == 2)
    after, (image, plain) = client.picture(plain=True)
    assert image.mean() - plain.mean() == pytest.approx(100, abs=3)
    assert sink.wants_plain
    assert after


def test_without_a_new_picture_the_answer_says_so(client: Client, sink: WebSink) -> None:
    sink.write(np.zeros((64, 64, 3), np.uint8), 0.0)
    number, _ = client.picture()
    status, _, body = client.ask(f"/picture?after={number}")
    assert (status, body) == (204, b"")


def test_numbers_of_an_earlier_run_are_not_waited_for(client: Client, sink: WebSink) -> None:
    sink.write(np.zeros((64, 64, 3), np.uint8), 0.0)
    assert client.picture(after="0badc0de.99999")[0] == f"{sink.session}.1"


def test_other_programs_get_mjpeg(sink: WebSink, player: Player) -> None:
    video = cv2.VideoCapture(f"{sink.url}stream.mjpg", cv2.CAP_FFMPEG)
    try:
        frames = [video.read() for _ in range(5)]
    finally:
        video.release()
    assert all(done and frame.shape == (180, 320, 3) for done, frame in frames)


def test_state_tells_everything_once_and_then_what_is_new(client: Client, controls: Controls, sink: WebSink) -> None:
    sink.start((720, 1280), 30)
    state = client.state()
    assert state["size_hw"] == [720, 1280]
    assert state["figures"]["stages"]["matte"]["p50_ms"] == 8.0
    assert {entry["name"] for entry in state["controls"]} >= {"strength", "smoothing", "light_wrap", "grain", "grow"}
    assert {action["name"] for action in state["actions"]} >= {"screenshot", "quit"}
    again = json.loads(client.ask(f"/api/state?revision={state['revision']}")[2])
    assert "controls" not in again
    controls.set("grain", 0.5)
    again = json.loads(client.ask(f"/api/state?revision={state['revision']}")[2])
    assert next(c["value"] for c in again["controls"] if c["name"] == "grain") == 0.5


# -- changes -----------------------------------------------------------------------------------------------------


def test_settings_and_actions_reach_the_stream(client: Client, controls: Controls) -> None:
    assert client.send("/api/controls", {"strength": 0.25, "harmonize": False, "snap": 8}) == (200, {})
    assert client.send("/api/action", {"action": "screenshot"}) == (200, {})
    values = controls.snapshot()
    assert (values["strength"], values["harmonize"], values["snap"]) == (0.25, False, 8)
    assert controls.take_actions() == ["screenshot"]


@pytest.mark.parametrize(
    "values",
    [{"strength": 2}, {"strength": "a"}, {"nothing": 1}, {"black": 0.9, "white": 0.1}, {"background": "/etc/hosts"}, 5],
    ids=str,
)
def test_bad_settings_change_nothing_and_say_why(client: Client, controls: Controls, values: object) -> None:
    before = controls.snapshot()
    status, said = client.send("/api/controls", values)
    assert status == 400
    assert said["error"]
    assert said["hint"]
    assert controls.snapshot() == before


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 30000, b'{"strength": NaN}', b'{"strength": 1e999}'])
def test_rubbish_for_json_is_refused(client: Client, controls: Controls, body: bytes) -> None:
    assert client.ask("/api/controls", body, OURS)[0] == 400
    assert controls.get("strength") == 1.0


# -- backgrounds -------------------------------------------------------------------------------------------------


def test_backgrounds_are_chosen_from_the_shelf(client: Client, controls: Controls, tmp_path: Path) -> None:
    files = []
    for name, colour in (("beach.jpg", (200, 120, 20)), ("office.png", (10, 10, 90))):
        cv2.imwrite(str(tmp_path / name), np.full((400, 600, 3), colour, np.uint8))
        files.append(str(tmp_path / name))
    controls.suggest("background", [*files, "#00ff00"])
    controls.set("background", files[0])
    state = client.state()
    shelf = {entry["name"]: entry for entry in state["backgrounds"]}
    assert [shelf["beach"]["selected"], shelf["office"]["selected"]] == [True, False]
    assert shelf["#00ff00"]["colour"] == "#00ff00"
    assert str(tmp_path) not in json.dumps(state), "paths are nobody's business"
    status, headers, body = client.ask(f"/api/thumbnail?id={shelf['beach']['id']}")
    assert (status, headers["Content-Type"]) == (200, "image/jpeg")
    small = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
    assert small.shape == (180, 320, 3)
    assert small.mean(axis=(0, 1)) == pytest.approx([200, 120, 20], abs=4)
    assert client.send("/api/background", {"id": shelf["office"]["id"]})[0] == 200
    assert controls.get("background") == files[1]
    assert client.send("/api/background", {"colour": "#3366CC"})[0] == 200
    assert controls.get("background") == "#3366cc"


@pytest.mark.parametrize(
    "asked", [{"id": "../../etc/passwd"}, {"id": ""}, {}, {"colour": "/etc/passwd"}, {"colour": "#12345"}], ids=str
)
def test_other_backgrounds_are_not_to_be_had(client: Client, controls: Controls, asked: dict[str, str]) -> None:
    assert client.send("/api/background", asked)[0] == 400
    assert controls.get("background") == ""


def test_a_background_that_is_gone_has_no_thumbnail(client: Client, controls: Controls, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("no picture")
    controls.suggest("background", [str(tmp_path / "gone.jpg"), str(tmp_path / "notes.jpg"), "blur"])
    for entry in client.state()["backgrounds"]:
        assert client.ask(f"/api/thumbnail?id={entry['id']}")[0] == 404


def test_an_upload_becomes_the_background(controls: Controls, tmp_path: Path) -> None:
    with WebSink(0, controls, backgrounds_dir=tmp_path / "sent") as sink:
        client = Client(sink)
        data = encode(np.full((300, 500, 3), (30, 160, 90), np.uint8), ".png")
        assert client.upload(data, "..%2F..%2Fmeadow.png") == (200, {"name": "meadow"})
        path = Path(controls.get("background"))
        assert path == tmp_path / "sent" / "meadow.jpg"
        assert read_colour(path).shape == (300, 500, 3)
        assert str(path) in next(c for c in controls.describe() if c["name"] == "background")["choices"]
        chosen = [entry["name"] for entry in client.state()["backgrounds"] if entry["selected"]]
        assert chosen == ["meadow"]
    assert path.exists()


@pytest.mark.parametrize(
    ("data", "word"),
    [(b"no picture", "JPEG"), (png_of(40_000, 40_000), "pixels"), (b"", "JPEG"), (png_of(90, 90)[:50], "cut short")],
    ids=["text", "bomb", "empty", "cut"],
)
def test_uploads_that_are_no_good_are_refused_in_words(
    client: Client, controls: Controls, data: bytes, word: str
) -> None:
    status, said = client.upload(data, "..%2F..%2F..%2Fevil.jpg")
    assert status == 400
    assert word in said["error"]
    assert controls.get("background") == ""


def test_too_large_uploads_are_refused_before_they_are_read(client: Client) -> None:
    headers = {"X-Edge-Harmony": "1", "Content-Length": str(10**9)}
    status, answer, body = client.ask("/api/upload?name=a", b"", headers)
    assert status == 413
    assert answer["Connection"] == "close"
    assert "too large" in json.loads(body)["error"]


# -- who is kept out ---------------------------------------------------------------------------------------------


def test_the_page_has_its_own_script_and_nothing_from_elsewhere(client: Client) -> None:
    status, headers, body = client.ask("/")
    policy = headers["Content-Security-Policy"]
    assert status == 200
    assert "default-src 'none'" in policy
    assert re.search(r"script-src 'sha256-[^']+';", policy)
    assert "unsafe" not in policy
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    text = body.decode().replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|@import|<script[^>]+src|<link[^>]+stylesheet", text)


@pytest.mark.parametrize("path", ["/nothing", "/../../etc/passwd", "/page.html", "/api", "/%2e%2e/sink.py"])
def test_there_is_nothing_else(client: Client, path: str) -> None:
    status, headers, _ = client.ask(path)
    assert status == 404
    assert "'none'" in headers["Content-Security-Policy"]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[", "localhost.x"])
def test_a_name_that_was_pointed_here_is_not_answered(client: Client, host: str) -> None:
    for path in ("/", "/api/state", "/picture"):
        assert client.ask(path, headers={"Host": host})[0] == 421


def test_own_names_are_answered(client: Client) -> None:
    for host in ("localhost:9", "127.0.0.1", "[::1]:80", "192.168.7.7:8765"):
        assert client.ask("/api/state", headers={"Host": host})[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[bad"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"X-Edge-Harmony": None},
    ],
    ids=str,
)
def test_other_sites_change_nothing(client: Client, controls: Controls, headers: dict[str, str | None]) -> None:
    every = {name: value for name, value in {**OURS, **headers}.items() if value is not None}
    status, _, _ = client.ask("/api/controls", b'{"strength": 0.5}', every)
    assert status in (400, 403)
    assert controls.get("strength") == 1.0


def test_other_sites_see_nothing_but_may_link_to_the_page(client: Client) -> None:
    embedded = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client.ask("/picture", headers=embedded)[0] == 403
    assert client.ask("/api/state", headers=followed)[0] == 403
    assert client.ask("/", headers=followed)[0] == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "HEAD", "BREW"])
def test_other_methods_are_refused(client: Client, method: str) -> None:
    assert client.ask("/api/controls", method=method)[0] == 405


def test_where_others_can_connect_a_token_is_needed(controls: Controls) -> None:
    with WebSink("0.0.0.0:0", controls) as sink:
        client = Client(sink)
        assert len(sink.token) >= 20
        assert sink.url.endswith(f":{sink.address.port}/?token={sink.token}")
        assert sink.url in sink.announcement()
        for path in ("/picture", "/api/state", "/stream.mjpg", "/api/state?token=wrong"):
            assert client.ask(path)[0] == 401
        assert client.send("/api/controls", {"strength": 0.5})[0] == 401
        status, _, door = client.ask("/")
        assert (status, b"token" in door) == (401, True)
        status, headers, _ = client.ask(f"/?token={sink.token}")
        assert status == 200
        cookie = headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert client.ask("/api/state", headers={"Cookie": cookie.split(";")[0]})[0] == 200
        assert client.ask("/api/state", headers={"Authorization": f"Bearer {sink.token}"})[0] == 200
        assert client.ask("/api/state", headers={"Cookie": f"edge_harmony_{sink.address.port}=w"})[0] == 401
        assert client.ask("/api/state", headers={"Cookie": '"\\x;=;;=a'})[0] == 401
    assert not web_threads()


def test_two_sinks_have_two_tokens(controls: Controls) -> None:
    with WebSink("0.0.0.0:0") as one, WebSink("0.0.0.0:0") as other:
        assert one.token != other.token
        assert Client(other).ask(f"/?token={one.token}")[0] == 401


# -- setting up --------------------------------------------------------------------------------------------------


def test_a_port_that_is_taken_is_an_error_with_a_remedy(sink: WebSink) -> None:
    with pytest.raises(SinkError) as caught:
        WebSink(sink.address.port)
    assert "--web" in caught.value.hint


@pytest.mark.parametrize("token", ["short", "a b c d e f g", "", "ü" * 12])
def test_bad_tokens_are_refused(token: str) -> None:
    with pytest.raises(ConfigError):
        WebSink("0.0.0.0:0", token=token)
    assert not web_threads()


def test_without_controls_there_is_the_picture_alone() -> None:
    with WebSink(0) as sink:
        client = Client(sink)
        sink.write(np.full((100, 100, 3), 77, np.uint8), 0.0)
        assert client.picture()[1][0].mean() == pytest.approx(77, abs=1)
        assert "controls" not in client.state()
        assert client.send("/api/controls", {"strength": 1})[0] == 400
        assert client.send("/api/background", {"colour": "#000000"})[0] == 404


def test_the_page_is_in_the_package() -> None:
    folder = Path(__file__).parents[2] / "edge_harmony" / "web"
    assert {"page.html", "door.html"} <= {path.name for path in folder.iterdir()}
