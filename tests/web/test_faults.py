"""Clients that disappear, are slow, or send rubbish, a hundred at once: the live picture goes on."""

from __future__ import annotations

import contextlib
import random
import socket
import time

import numpy as np
import pytest

from edge_harmony.live.controls import Controls
from edge_harmony.web import WebSink, server
from tests.web.visitor import Client, FixedFigures, Player, encode, eventually, web_threads

POST = b"POST /api/upload?name=a HTTP/1.1\r\nHost: localhost\r\nX-Edge-Harmony: 1\r\nContent-Length: 5000000\r\n\r\n"


def connect(sink: WebSink) -> socket.socket:
    return socket.create_connection(("127.0.0.1", sink.address.port), timeout=20)


def is_cut(client: socket.socket) -> bool:
    """Whether the server has ended a connection; reads what it sent before."""
    client.settimeout(0.05)
    try:
        while client.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def watches(client: Client) -> None:
    """A visitor sees new pictures."""
    number, _ = client.picture()
    for _ in range(5):
        newer, _ = client.picture(after=number)
        assert newer != number
        number = newer


def test_clients_that_leave_in_mid_stream(sink: WebSink, player: Player) -> None:
    for _ in range(20):
        with connect(sink) as client:
            client.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.recv(100)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # gone without a word
    eventually(lambda: sink.connections == 0)
    watches(Client(sink))


def test_a_hundred_that_send_rubbish(sink: WebSink, player: Player) -> None:
    chance = random.Random(5)
    rubbish = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + chance.randbytes(200),  # TLS
        chance.randbytes(3000),
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET " + b"a" * 70000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nb" + b"c" * 70000,
        b"POST /api/controls HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\nX-Edge-Harmony: 1\r\n\r\n{}",
        b"POST /api/controls HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n",
        b"GET /picture?after=x.y HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /picture?" + b"a=1&" * 500 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\r\n" * 100,
        b"\0",
        b"",
        POST + b"half a picture",
    ]
    visitor = Client(sink, keep=True)
    watches(visitor)
    clients = []
    for index in range(100):
        client = connect(sink)
        clients.append(client)
        with contextlib.suppress(OSError):
            client.sendall(rubbish[index % len(rubbish)])
        assert sink.connections <= 48
    before = player.written
    watches(visitor)
    watches(Client(sink))
    assert player.written > before
    for client in clients:
        client.close()
    eventually(lambda: sink.connections <= 1)
    assert Client(sink).state()["figures"]["fps"] == 29.9


def test_a_hundred_that_say_nothing_leave_room_for_visitors(sink: WebSink, player: Player) -> None:
    silent = [connect(sink) for _ in range(100)]
    watches(Client(sink))
    assert sink.connections <= 48
    for client in silent:
        client.close()


def test_a_hundred_visitors_at_once_stay_within_bounds(player: Player, sink: WebSink) -> None:
    request = b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n"
    clients = [connect(sink) for _ in range(100)]
    for client in clients:
        with contextlib.suppress(OSError):
            client.sendall(request)
    written = player.written
    eventually(lambda: player.written > written + 20)
    assert sink.connections <= 48
    assert len(web_threads()) <= 48 + 2
    for client in clients:
        client.close()
    eventually(lambda: sink.connections == 0)
    watches(Client(sink))


@pytest.mark.parametrize(
    "start",
    [b"", b"G", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", POST + b"\xff\xd8\xff"],
    ids=["nothing", "a letter", "half a head", "half a body"],
)
def test_who_dawdles_is_cut_off(start: bytes, controls: Controls, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST_S", "HEAD_S", "IDLE_S"):
        monkeypatch.setattr(server, name, 0.6)
    monkeypatch.setattr("edge_harmony.web.routes.BODY_S", 0.6)
    with WebSink(0, controls, FixedFigures()) as sink, connect(sink) as client:
        client.sendall(start)
        deadline = time.monotonic() + 20
        while not is_cut(client):  # a byte now and then does not buy more time
            assert time.monotonic() < deadline
            with contextlib.suppress(OSError):
                client.sendall(b"x" if start else b"")
            time.sleep(0.1)
        eventually(lambda: sink.connections == 0)


def test_a_viewer_that_does_not_read_delays_nobody_and_is_cut_off(
    controls: Controls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_harmony.web.routes.ANSWER_S", 1.5)
    with WebSink(0, controls) as sink, connect(sink) as stuck:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        eventually(lambda: sink.watched)
        noise = [np.random.default_rng(i).integers(0, 255, (720, 1280, 3), np.uint8) for i in range(3)]
        slowest = 0.0
        deadline = time.monotonic() + 30
        index = 0
        while sink.connections:
            began = time.monotonic()
            sink.write(noise[index % 3], float(index))
            slowest = max(slowest, time.monotonic() - began)
            index += 1
            assert time.monotonic() < deadline, "it was never cut off"
            time.sleep(0.02)
        assert slowest < 1.0  # and not the seconds that the viewer was stuck
        watches_once = Client(sink).picture()
        assert watches_once[1][0].shape == (720, 1280, 3)


def test_nothing_outlives_close_whatever_clients_do(controls: Controls) -> None:
    sink = WebSink(0, controls, FixedFigures())
    player = Player(sink)
    clients = [connect(sink) for _ in range(12)]
    requests = [b"", b"GET / HT", b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n", POST + b"abc"]
    for index, client in enumerate(clients):
        client.sendall(requests[index % 4])
    eventually(lambda: sink.connections == 12)
    began = time.monotonic()
    sink.close()
    sink.close()
    assert time.monotonic() - began < 10
    assert not web_threads()
    player.close()
    assert all(is_cut(client) for client in clients)
    with pytest.raises(ConnectionRefusedError):
        connect(sink).close()


def test_close_while_viewers_wait_for_a_picture_that_never_comes(controls: Controls) -> None:
    sink = WebSink(0, controls)
    with connect(sink) as client:
        client.sendall(b"GET /picture HTTP/1.1\r\nHost: localhost\r\n\r\n")
        eventually(lambda: sink.watched)
        sink.abort()
        assert not web_threads()


def test_a_hundred_bad_uploads(client: Client, controls: Controls, player: Player) -> None:
    for index in range(100):
        status, _ = client.upload(bytes([index]) * 2000, f"..%2F{index}")
        assert status == 400
    assert controls.get("background") == ""
    watches(client)


def test_uploads_that_stop_half_way_leave_their_places(sink: WebSink, client: Client) -> None:
    for _ in range(6):
        with connect(sink) as half:
            half.sendall(POST + b"\xff\xd8\xff\xe0")
    picture = np.full((80, 80, 3), 120, np.uint8)
    assert eventually(lambda: client.upload(encode(picture))[0] == 200)
