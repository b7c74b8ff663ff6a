"""A small RTSP server for the tests: H.264 over RTP (RFC 2326, 3550, 6184), interleaved in the connection or by UDP."""

from __future__ import annotations

import base64
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import av
import numpy as np

_MOST = 1200  # bytes of one RTP packet
_CLOCK = 90_000


def encode_h264(pictures: Sequence[np.ndarray], options: dict[str, str] | None = None) -> list[list[bytes]]:
    """Pictures (BGR) as H.264: for each its NAL units without start codes, parameter sets at every key frame."""
    height, width = pictures[0].shape[:2]
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
    codec.time_base, codec.framerate = Fraction(1, 25), Fraction(25)
    codec.options = {"preset": "ultrafast", "tune": "zerolatency", "g": "5", "qp": "10", **(options or {})}
    packets = []
    for index, picture in enumerate([*pictures, None]):
        frame = None
        if picture is not None:
            frame = av.VideoFrame.from_ndarray(picture, "bgr24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
        packets += [bytes(packet) for packet in codec.encode(frame)]
    return [split_annex_b(data) for data in packets if data]


def split_annex_b(data: bytes) -> list[bytes]:
    """The NAL units of a byte stream."""
    parts = data.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")
    return [part for part in parts if part]


class RtspServer:
    """Serves a list of coded frames, over and over, at a rate, to any number of clients.

    Attributes:
        frames: the NAL units of each frame; may be replaced while it runs, by video of another size too.
        session: its name, sent in Latin-1.
        lost: numbers of the RTP packets (of all) that never arrive; those after them show the gap.
        damage: frame numbers (of all that were sent) whose slices are sent with their middle overwritten.
        clients: how many clients asked to play so far.
    """

    def __init__(self, frames: list[list[bytes]], rate: float = 25.0, port: int = 0, password: str = "") -> None:
        self.frames, self.rate, self.password = frames, rate, password
        self.session = "test"
        self.damage: set[int] = set()
        self.lost: set[int] = set()
        self.clients = 0
        self.silent = threading.Event()  # connected, but nothing is sent any more
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._start(self._accept)

    @property
    def url(self) -> str:
        """Where it is, without a password."""
        return f"rtsp://127.0.0.1:{self.port}/cam"

    def close(self) -> None:
        """Cut every connection and stop listening."""
        self._stop.set()
        for sock in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(10)

    def __enter__(self) -> RtspServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self, target, *args) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(connection)
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        send = lambda data: connection.sendall(struct.pack(">BBH", 0x24, 0, len(data)) + data)  # noqa: E731
        with contextlib.suppress(OSError, ConnectionError), connection:
            for method, url, headers in _requests(connection):
                answer = [f"CSeq: {headers.get('cseq', '0')}"]
                body = ""
                if self.password and headers.get("authorization", "") != _basic(self.password):
                    _answer(connection, "401 Unauthorized", [*answer, 'WWW-Authenticate: Basic realm="cam"'])
                    continue
                if method == "OPTIONS":
                    answer.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")
                elif method == "DESCRIBE":
                    body = self._sdp()
                    answer += ["Content-Type: application/sdp", f"Content-Base: {url}/", f"Content-Length: {len(body)}"]
                elif method == "SETUP":
                    wanted = headers.get("transport", "")
                    if "client_port=" in wanted:
                        port = int(wanted.partition("client_port=")[2].partition("-")[0])
                        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                        self._sockets.append(udp)
                        udp.bind(("127.0.0.1", 0))
                        udp.connect(("127.0.0.1", port))
                        own = udp.getsockname()[1]
                        send = udp.send
                        answer.append(f"Transport: {wanted};server_port={own}-{own + 1}")
                    else:
                        answer.append("Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
                    answer.append("Session: 1")
                elif method == "PLAY":
                    answer += ["Session: 1"]
                _answer(connection, "200 OK", answer, body)
                if method == "PLAY":
                    self.clients += 1
                    self._start(self._play, send)
                if method == "TEARDOWN":
                    return

    def _sdp(self) -> str:
        sets = [nal for nal in self.frames[0] if nal[0] & 31 in (7, 8)]
        sprop = ",".join(base64.b64encode(nal).decode() for nal in sets)
        profile = sets[0][1:4].hex()
        lines = (
            "v=0", "o=- 0 0 IN IP4 127.0.0.1", f"s={self.session}", "c=IN IP4 127.0.0.1", "t=0 0",
            "m=video 0 RTP/AVP 96",
            "a=rtpmap:96 H264/90000",
            f"a=fmtp:96 packetization-mode=1;profile-level-id={profile};sprop-parameter-sets={sprop}",
            "a=control:trackID=0", "",
        )  # fmt: skip
        return "\r\n".join(lines)

    def _play(self, send: Callable[[bytes], object]) -> None:
        sequence, start, sent = 0, time.monotonic(), 0
        with contextlib.suppress(OSError):
            while not self._stop.is_set():
                frames = self.frames
                nals = frames[sent % len(frames)]
                if sent in self.damage:
                    nals = [_damaged(nal) if nal[0] & 31 in (1, 5) else nal for nal in nals]
                stamp = round(sent * _CLOCK / self.rate)
                for last, packet in _packets(nals):
                    header = struct.pack(">BBHII", 0x80, 96 | last << 7, sequence & 0xFFFF, stamp & 0xFFFFFFFF, 1)
                    data = header + packet
                    if not self.silent.is_set() and sequence not in self.lost:
                        send(data)
                    sequence += 1
                sent += 1
                self._stop.wait(max(0.0, start + sent / self.rate - time.monotonic()))


def _damaged(nal: bytes) -> bytes:
    """A slice that begins well and goes on with rubbish, without a start code in it."""
    return nal[: len(nal) // 3] + b"\xa5" * (len(nal) - len(nal) // 3)


def _packets(nals: list[bytes]) -> Iterator[tuple[int, bytes]]:
    """Payloads with whether each is the frame's last: single NAL units, and FU-A for long ones."""
    for number, nal in enumerate(nals):
        final = number == len(nals) - 1
        if len(nal) <= _MOST:
            yield int(final), nal
            continue
        pieces = [nal[1 + i : 1 + i + _MOST] for i in range(0, len(nal) - 1, _MOST)]
        for place, piece in enumerate(pieces):
            start, end = place == 0, place == len(pieces) - 1
            indicator, header = (nal[0] & 0xE0) | 28, start << 7 | end << 6 | (nal[0] & 31)
            yield int(final and end), bytes((indicator, header)) + piece


def _requests(connection: socket.socket) -> Iterator[tuple[str, str, dict[str, str]]]:
    data = b""
    while True:
        while b"\r\n\r\n" not in data or data[:1] == b"$":
            if data[:1] == b"$" and len(data) >= 4:  # RTCP from the client
                length = 4 + struct.unpack(">H", data[2:4])[0]
                if len(data) >= length:
                    data = data[length:]
                    continue
            more = connection.recv(65536)
            if not more:
                return
            data += more
        head, _, data = data.partition(b"\r\n\r\n")
        first, *rest = head.decode().split("\r\n")
        method, url, _ = first.split(" ")
        yield method, url.rstrip("/"), {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in rest)}


def _answer(connection: socket.socket, status: str, headers: list[str], body: str = "") -> None:
    connection.sendall(("\r\n".join([f"RTSP/1.0 {status}", *headers, "", ""]) + body).encode("latin-1"))


def _basic(password: str) -> str:
    return "Basic " + base64.b64encode(password.encode()).decode()
