"""Connections: how many there may be, how long each may take, and that all of them end with the server."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any, Final

from edge_harmony.errors import SinkError
from edge_harmony.web.address import Address

_log = logging.getLogger(__name__)

FIRST_S: Final = 10.0  # from connecting to the end of the first request's head
HEAD_S: Final = 10.0  # from the first byte of a later request to the end of its head
IDLE_S: Final = 60.0  # between two requests
ANSWER_S: Final = 20.0  # to take an answer, or one picture of an endless one
BODY_S: Final = 90.0  # to send a picture
_LOOK_S: Final = 0.5  # how often the time limits are looked at
_SHORT: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)  # what a new connection may lack
_WAIT_S: Final = 0.2  # before it is tried again
_SEND_BUFFER: Final = 256 * 1024  # small, so that a slow viewer gets few pictures that are already old


class Connection:
    """One client: its socket and thread, and by when it has to have done what it is about.

    Attributes:
        trusted: whether a request was accepted; the others are the first to go when places are short.
        watching: whether it gets an answer without an end.
        idle: whether no request is being answered.
        since: ``time.monotonic()`` when it came, or when its last request was answered.
        deadline: ``time.monotonic()`` after which the connection is cut.
    """

    def __init__(self, client: socket.socket) -> None:
        self.socket = client
        self.thread: threading.Thread | None = None
        self.trusted = False
        self.watching = False
        self.idle = True
        self.since = time.monotonic()
        self.deadline = self.since + FIRST_S

    def allow(self, seconds: float) -> None:
        """Give the client this long, from now."""
        self.deadline = time.monotonic() + seconds

    def busy(self, seconds: float) -> None:
        """A request is being answered, which may take this long."""
        self.idle = False
        self.allow(seconds)

    def wait(self, seconds: float) -> None:
        """The request is answered; the next one must come within this time."""
        self.idle = True
        self.since = time.monotonic()
        self.allow(seconds)

    def cut(self) -> None:
        """End the connection at once; its thread notices, whatever it is waiting for."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)


class ConnectionHandler(BaseHTTPRequestHandler):
    """One connection's requests, one after the other; it ends when the client leaves, is late or is told to.

    A subclass answers them: it says how long that may take (``Connection.busy``) and marks a client ``trusted`` whose
    request it accepts.
    """

    protocol_version = "HTTP/1.1"
    server_version = "edge-harmony"
    sys_version = ""

    def __init__(
        self, client: Any, address: Any, server: ConnectionServer, connection: Connection, **more: Any
    ) -> None:
        self._connection = connection
        super().__init__(client, address, server, **more)

    def handle_one_request(self) -> None:
        """Wait for a request's first byte, then give its head little time."""
        if not self.rfile.peek(1):  # type: ignore[attr-defined]
            self.close_connection = True
            return
        if self._connection.trusted:
            self._connection.allow(HEAD_S)
        super().handle_one_request()
        self._connection.wait(IDLE_S)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: addresses hold tokens."""


class ConnectionServer(socketserver.TCPServer):
    """A TCP server with one thread for each client, a bound on their number, and time limits.

    It listens from the start. A sixth of the places is kept from answers without an end (``watch``), so that whoever
    operates the page gets in however many look on. When all places are taken, the longest waiting connection that never
    sent an accepted request makes room for a new one; where every one has, the new one is turned away.

    Args:
        address: where to listen.
        handler: makes the request handler of ``(socket, client's address, server, connection)``.
        most_connections: at a time.

    Raises:
        SinkError: the address is taken or not this machine's.
    """

    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, address: Address, handler: Callable[..., ConnectionHandler], most_connections: int = 48) -> None:
        self.address_family = socket.AF_INET6 if address.is_ipv6 else socket.AF_INET
        try:
            super().__init__((address.host, address.port), socketserver.BaseRequestHandler)
        except OSError as error:
            raise SinkError(
                f"the web page cannot be served at {address.host}:{address.port}: {error.strerror or error}",
                "another program may use the port: choose another one, for example --web 8766",
            ) from error
        self.address = Address(address.host, int(self.server_address[1]))
        self._make_handler = handler
        self._most = most_connections
        self._lock = threading.Condition()
        self._connections: set[Connection] = set()
        self._stopped = threading.Event()
        self._was_short = False
        self._threads = [
            threading.Thread(target=self._accept, name="web accept", daemon=True),
            threading.Thread(target=self._enforce, name="web limits", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def stopped(self) -> bool:
        """Whether the server is closing; endless answers end then."""
        return self._stopped.is_set()

    @property
    def connections(self) -> int:
        """How many there are now."""
        with self._lock:
            return len(self._connections)

    def stop(self, timeout_s: float = 5.0) -> None:
        """Stop listening, cut every connection and wait for every thread; may be called again."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        self.shutdown()
        self.server_close()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.cut()
        deadline = time.monotonic() + timeout_s
        threads = [*self._threads, *(c.thread for c in connections if c.thread is not None)]
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
        left = [thread.name for thread in threads if thread.is_alive()]
        if left:
            _log.warning("%d connections of the web page did not end in time", len(left))

    def watch(self, connection: Connection) -> bool:
        """Let a connection have an answer without an end; False where too many have one."""
        with self._lock:
            taken = sum(c.watching for c in self._connections)
            connection.watching = taken < self._most - max(1, self._most // 6)
            return connection.watching

    # -- what socketserver calls ---------------------------------------------------------------------------------

    def get_request(self) -> Any:
        """The next client; without descriptors for it, it waits, and so does this thread."""
        try:
            return super().get_request()
        except OSError as error:
            if error.errno in _SHORT:
                if not self._was_short:
                    self._was_short = True
                    _log.warning("a visitor of the page has to wait: %s", error.strerror)
                self._stopped.wait(_WAIT_S)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a new client its thread, or turn it away."""
        connection = Connection(request)
        if not self._admit(connection):
            with contextlib.suppress(OSError):
                request.settimeout(0.2)
                request.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self.shutdown_request(request)
            return
        thread = threading.Thread(target=self._serve, args=(connection, client_address), name="web client", daemon=True)
        connection.thread = thread
        try:
            thread.start()
        except RuntimeError:  # no more threads to be had
            self._forget(connection)
            self.shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client's fault is no reason to print a traceback."""
        _log.debug("the web page's server stumbled over a client", exc_info=True)

    # -- threads -------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        self.serve_forever(poll_interval=0.1)

    def _enforce(self) -> None:
        while not self._stopped.wait(_LOOK_S):
            now = time.monotonic()
            with self._lock:
                late = [c for c in self._connections if now > c.deadline]
            for connection in late:
                connection.cut()

    def _serve(self, connection: Connection, client_address: Any) -> None:
        client = connection.socket
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            self._make_handler(client, client_address, self, connection)
        except (OSError, ValueError):  # the client left, or the connection was cut
            _log.debug("a client of the web page left", exc_info=True)
        except Exception:
            _log.exception("the web page's server failed to answer")
        finally:
            self.shutdown_request(client)
            self._forget(connection)

    # -- places --------------------------------------------------------------------------------------------------

    def _admit(self, connection: Connection) -> bool:
        """Take a place for a connection, another one's if need be."""
        with self._lock:
            if len(self._connections) >= self._most:
                strangers = [c for c in self._connections if not c.trusted]
                idle = [c for c in self._connections if c.idle]
                leaving = min(strangers or idle, key=lambda c: c.since, default=None)
                if leaving is None:
                    return False
                leaving.cut()
                if not self._lock.wait_for(lambda: len(self._connections) < self._most, 0.5):
                    return False
            self._connections.add(connection)
            return True

    def _forget(self, connection: Connection) -> None:
        with self._lock:
            self._connections.discard(connection)
            self._lock.notify_all()
