"""The sink that shows results on a web page."""

from __future__ import annotations

import re
import secrets
import threading
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from edge_harmony.errors import ConfigError
from edge_harmony.pixels.frame import Frame
from edge_harmony.web.address import Address, page_url, parse_address, qr_code
from edge_harmony.web.backgrounds import Backgrounds, Settings
from edge_harmony.web.guard import Guard, new_token
from edge_harmony.web.live_picture import LivePicture
from edge_harmony.web.page import load_page
from edge_harmony.web.routes import UPLOADS_AT_ONCE, Answerer
from edge_harmony.web.server import ConnectionServer
from edge_harmony.web.uploads import Uploads

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{8,128}")


class ControlsLike(Settings, Protocol):
    """What the page needs of ``edge_harmony.live.controls.Controls``."""

    @property
    def revision(self) -> int: ...
    def update(self, values: Any) -> None: ...
    def describe_actions(self) -> list[dict[str, str]]: ...
    def act(self, action: str) -> None: ...


class FiguresLike(Protocol):
    """What the page needs of ``edge_harmony.live.figures.Figures``."""

    def snapshot(self) -> dict[str, Any]: ...


class WebSink:
    """Serves a page with the live picture, a slider between before and after, the controls and the figures.

    It is a live sink: ``write`` takes the newest picture and returns at once, whoever watches, and however slowly.
    Pictures become JPEGs in the viewers' threads, once for all of them, and not at all while nobody watches.

    Whoever can open the page can change the settings and stop the stream. So it is served to this machine alone
    unless another host is named, and then to those who know a token.

    Attributes:
        name: for messages.
        lossless: False: pictures that nobody took in time are gone.
        address: where it listens; the port is the real one.
        token: "" where none is needed.
        url: what to open, with the token.
    """

    lossless = False

    def __init__(
        self,
        where: str | int | Address,
        controls: ControlsLike | None = None,
        figures: FiguresLike | None = None,
        *,
        token: str | None = None,
        backgrounds_dir: str | Path | None = None,
        max_width: int = 1280,
        quality: int = 85,
        most_connections: int = 48,
    ) -> None:
        """Listen from now on.

        Args:
            where: ``[HOST:]PORT``; port 0 lets the system choose.
            controls: what the page changes; None shows the picture alone.
            figures: what the page shows of timings and drops.
            token: what visitors must know; None makes one where others than this machine can connect; "" is allowed
                on this machine only.
            backgrounds_dir: where uploads are kept; None is a temporary folder, removed by ``close``.
            max_width: wider pictures are reduced to it for the page.
            quality: of the page's JPEGs, 1..100.
            most_connections: how many there may be at a time; a browser takes up to six.

        Raises:
            ConfigError: an address or token that makes no sense, or no token where one is needed.
            SinkError: the port is taken, or the folder cannot be made.
        """
        wanted = where if isinstance(where, Address) else parse_address(where)
        if token is None:
            token = "" if wanted.is_loopback else new_token()
        if token and not _TOKEN.fullmatch(token):
            raise ConfigError("the token is of no use", "take 8 to 128 letters, digits, dashes and underscores")
        if not token and not wanted.is_loopback:
            raise ConfigError(f"{wanted.host} can be reached by others, so a token is needed", "leave it out")
        self.name = "web page"
        self.token = token
        self.session = secrets.token_hex(4)
        self.page = load_page()
        self.picture = LivePicture(max_width, quality)
        self.upload_places = threading.Semaphore(UPLOADS_AT_ONCE)
        self._controls = controls
        self._figures = figures
        self._rate = 0.0
        self._size_hw = (0, 0)
        self._uploads = Uploads(Path(backgrounds_dir) if backgrounds_dir else None) if controls else None
        self.backgrounds = Backgrounds(controls, self._uploads) if controls and self._uploads else None
        self.guard = Guard(token, wanted.port, wanted.host)
        try:
            self._server = ConnectionServer(wanted, partial(_answer, self), most_connections)
        except BaseException:
            self._close_uploads()
            raise
        self.address = self._server.address
        self.guard.cookie = f"edge_harmony_{self.address.port}"
        self.url = page_url(self.address, token)

    @property
    def watched(self) -> bool:
        """Whether somebody is looking."""
        return self.picture.watched

    @property
    def wants_plain(self) -> bool:
        """Whether somebody compares, so that ``write`` should be given the plain composite, too."""
        return self.picture.wants_plain

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return self._server.connections

    def announcement(self) -> str:
        """Where to look, in words for a terminal; with a QR code where phones can connect."""
        if self.address.is_loopback:
            return f"Watch and adjust at {self.url}"
        lines = [f"Watch and adjust at {self.url}", *qr_code(self.url)]
        return "\n".join([*lines, "Whoever has this address can change the settings and stop the stream."])

    def start(self, size_hw: tuple[int, int], rate: Any = 0.0) -> None:
        """A stream begins, or goes on with another size; raises nothing."""
        self._size_hw, self._rate = size_hw, float(rate)

    def write(self, image_bgr: Frame, pts_s: float, plain_bgr: Frame | None = None) -> None:
        """Show a picture.

        Args:
            image_bgr: uint8 (H, W, 3), the result, without anything drawn over it. It is kept until the next one
                comes, so it must not be changed any more: give a copy where buffers are used again.
            pts_s: its presentation time in seconds.
            plain_bgr: uint8 (H, W, 3), the plain composite of the same frame, for the slider; needed only while
                ``wants_plain``; kept likewise.
        """
        self._size_hw = (image_bgr.shape[0], image_bgr.shape[1])
        self.picture.put(image_bgr, pts_s, plain_bgr)

    def close(self) -> None:
        """Stop serving: every connection is cut and every thread has ended when this returns; may be called again."""
        self.picture.close()
        self._server.stop()
        self._close_uploads()

    def abort(self) -> None:
        """Like ``close``: there is nothing that could be left half written."""
        self.close()

    def __enter__(self) -> WebSink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what the routes call ------------------------------------------------------------------------------------

    def state(self, revision: str = "") -> dict[str, Any]:
        """Everything the page shows beside the picture, ready for JSON.

        Args:
            revision: the ``revision`` of an earlier answer; controls and backgrounds are left out while it is the
                same.

        Returns:
            ``session, revision, sequence, size_hw, rate, figures``; ``controls, actions, backgrounds`` when they are
            new. The value of ``background``, a path, is never told.
        """
        now = f"{self.session}.{self._controls.revision if self._controls else 0}"
        state: dict[str, Any] = {
            "session": self.session,
            "revision": now,
            "sequence": self.picture.sequence,
            "size_hw": list(self._size_hw),
            "rate": self._rate,
            "connections": self.connections,
            "figures": self._figures.snapshot() if self._figures else {},
        }
        if revision != now and self._controls is not None and self.backgrounds is not None:
            state["controls"] = [entry for entry in self._controls.describe() if entry["name"] != "background"]
            state["actions"] = self._controls.describe_actions()
            state["backgrounds"] = self.backgrounds.entries()
        return state

    def change(self, values: dict[str, Any]) -> None:
        """Change settings; ``ConfigError`` for a background, which is chosen from the shelf, and for bad values."""
        if self._controls is None:
            raise ConfigError("this stream has no settings", "")
        if "background" in values:
            raise ConfigError("a background is chosen from those offered", "use /api/background")
        self._controls.update(values)

    def act(self, action: str) -> None:
        """Ask for an action; ``ConfigError`` when there is none of that name."""
        if self._controls is None:
            raise ConfigError("this stream has no actions", "")
        self._controls.act(action)

    def _close_uploads(self) -> None:
        if self._uploads is not None:
            self._uploads.close()


def _answer(site: WebSink, client: Any, address: Any, server: ConnectionServer, connection: Any) -> Answerer:
    return Answerer(client, address, server, connection, site)
