"""The element: raw frames in, the subject on another background and harmonized out, of the same caps."""

from __future__ import annotations

import statistics
import time
from collections import deque
from typing import Any, Final

import cv2
import gi
import numpy as np
from numpy.typing import NDArray

gi.require_version("Gst", "1.0")
gi.require_version("GstBase", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import GObject, Gst, GstBase, GstVideo  # noqa: E402

from edge_harmony.backgrounds.blur import BlurBackground  # noqa: E402
from edge_harmony.backgrounds.open import Background, open_background  # noqa: E402
from edge_harmony.compose.compositor import Compositor  # noqa: E402
from edge_harmony.contract import MIN_FRAME_SIZE  # noqa: E402
from edge_harmony.errors import ConfigError, EdgeHarmonyError, MatteError  # noqa: E402
from edge_harmony.harmonize.load import load_harmonizer  # noqa: E402
from edge_harmony.matte.base import Matte  # noqa: E402
from edge_harmony.matte.select import open_matte  # noqa: E402
from edge_harmony.pixels.frame import Alpha, Frame  # noqa: E402

# For each format: bytes a pixel, to BGR, from BGR. None: as it is.
_FORMATS: Final[dict[str, tuple[int, int | None, int | None]]] = {
    "BGR": (3, None, None),
    "RGB": (3, cv2.COLOR_RGB2BGR, cv2.COLOR_BGR2RGB),
    "BGRx": (4, cv2.COLOR_BGRA2BGR, cv2.COLOR_BGR2BGRA),
    "RGBx": (4, cv2.COLOR_RGBA2BGR, cv2.COLOR_BGR2RGBA),
    "BGRA": (4, cv2.COLOR_BGRA2BGR, cv2.COLOR_BGR2BGRA),
    "RGBA": (4, cv2.COLOR_RGBA2BGR, cv2.COLOR_BGR2RGBA),
}
_WITH_ALPHA: Final = ("BGRA", "RGBA")
_LIVE: Final = ("strength", "smoothing", "light_wrap", "grain")  # may change while frames flow
_MEASURED: Final = 30  # frames, over which the median of the time they take is a latency


def _caps(formats: tuple[str, ...]) -> Any:
    sides = f"[{MIN_FRAME_SIZE},2147483647]"
    return Gst.Caps.from_string(
        f"video/x-raw, format=(string){{{','.join(formats)}}}, width=(int){sides}, height=(int){sides}, "
        "framerate=(fraction)[0/1,2147483647/1]"
    )


class EdgeHarmony(GstBase.BaseTransform):
    """See ``docs/gstreamer.md``; every property is described there and by ``gst-inspect-1.0 edgeharmony``."""

    __gtype_name__ = "EdgeHarmony"
    __gstmetadata__ = (
        "Edge Harmony", "Filter/Effect/Video",
        "Puts the subject before another background, harmonized with it", "edge_harmony",
    )  # fmt: skip
    __gsttemplates__ = tuple(
        Gst.PadTemplate.new(name, direction, Gst.PadPresence.ALWAYS, _caps(tuple(_FORMATS)))
        for name, direction in (("sink", Gst.PadDirection.SINK), ("src", Gst.PadDirection.SRC))
    )

    background = GObject.Property(
        type=str, default="", nick="Background",
        blurb="A picture, a video, #rrggbb, blur or blur:AMOUNT; needed, and may change at any time",
    )  # fmt: skip
    matte = GObject.Property(
        type=str, default="person", nick="Matte",
        blurb="person, auto, chroma, chroma:COLOUR, plate:FILE, onnx:FILE, a mask file, or alpha: the frame's own",
    )  # fmt: skip
    model = GObject.Property(type=str, default="base", nick="Model", blurb="base, nano, or a file")
    backend = GObject.Property(type=str, default="auto", nick="Backend", blurb="auto, tensorrt or onnxruntime")
    threads = GObject.Property(type=int, default=0, nick="Threads", blurb="0: all, at most 8")
    fit = GObject.Property(type=str, default="cover", nick="Fit", blurb="cover, contain or stretch: the background")
    strength = GObject.Property(type=float, default=1.0, nick="Strength", blurb="0..1, may change at any time")
    smoothing = GObject.Property(type=float, default=0.8, nick="Smoothing", blurb="0..0.999, may change at any time")
    light_wrap = GObject.Property(type=float, default=0.0, nick="Light wrap", blurb="0..1, may change at any time")
    grain = GObject.Property(type=float, default=0.0, nick="Grain", blurb="0..1, may change at any time")

    def __init__(self) -> None:
        super().__init__()
        self.set_qos_enabled(True)  # a frame that would come too late is not worked on
        self._info: Any = None
        self._compositor: Compositor | None = None
        self._matte: Matte | None = None
        self._behind: Background | BlurBackground | None = None
        self._behind_is = ""
        self._behind_since_s = 0.0
        self._kept: dict[str, NDArray[np.uint8]] = {}
        self._start_over()
        self._took: deque[int] = deque(maxlen=_MEASURED)  # nanoseconds
        self._latency = 0  # nanoseconds, as it was reported

    # What GStreamer calls.

    def do_start(self) -> bool:
        return self._tried(self._open, False)

    def do_stop(self) -> bool:
        for part in (self._matte, self._behind):
            if part is not None:
                part.close()
        self._compositor = self._matte = self._behind = self._info = None
        self._behind_is = ""
        return True

    def do_transform_caps(self, direction: Any, caps: Any, limit: Any) -> Any:
        del direction  # the same on both sides
        taken = caps.intersect(_caps(_WITH_ALPHA if self.matte == "alpha" else tuple(_FORMATS)))
        return taken if limit is None else limit.intersect_full(taken, Gst.CapsIntersectMode.FIRST)

    def do_set_caps(self, caps: Any, result: Any) -> bool:
        del result
        self._info = GstVideo.VideoInfo.new_from_caps(caps)
        self._kept.clear()
        self._took.clear()
        self._latency = self._frame_duration()
        self._start_over()
        if self._matte is not None:
            self._matte.reset()
        if self._compositor is not None:
            self._compositor.reset()
        return self._tried(self._open_background, False)

    def do_transform_size(self, direction: Any, caps: Any, size: int, others: Any) -> tuple[bool, int]:
        del direction, caps, size  # of a frame with padded rows it says nothing
        return True, GstVideo.VideoInfo.new_from_caps(others).size

    def do_propose_allocation(self, decided: Any, query: Any) -> bool:
        query.add_allocation_meta(GstVideo.video_meta_api_get_type(), None)  # rows may be padded as they like
        return GstBase.BaseTransform.do_propose_allocation(self, decided, query)

    def do_sink_event(self, event: Any) -> bool:
        if event.type == Gst.EventType.FLUSH_STOP and self._compositor is not None:
            self._compositor.reset()
        return GstBase.BaseTransform.do_sink_event(self, event)

    def do_gst_base_transform_query(self, direction: Any, query: Any) -> bool:
        if not GstBase.BaseTransform.do_query(self, direction, query):
            return False
        if query.type == Gst.QueryType.LATENCY and direction == Gst.PadDirection.SRC:
            live, least, most = query.parse_latency()
            query.set_latency(
                live, least + self._latency, most if most == Gst.CLOCK_TIME_NONE else most + self._latency
            )
        return True

    def do_transform(self, given: Any, result: Any) -> Any:
        started = time.perf_counter_ns()
        flow = self._tried(lambda: self._work(given, result), Gst.FlowReturn.ERROR)
        self._took.append(time.perf_counter_ns() - started)
        if len(self._took) == _MEASURED:
            usual = int(statistics.median(self._took))
            self._took.clear()
            if usual > self._latency:
                self._latency = usual
                self.post_message(Gst.Message.new_latency(self))
        return flow

    # What they come to.

    def _open(self) -> bool:
        if not self.background:
            raise ConfigError(
                "edgeharmony has no background", "set background=FILE, background=#rrggbb or background=blur"
            )
        harmonizer = load_harmonizer(self.model, self.backend, self.threads or None)
        values = {name: getattr(self, name) for name in _LIVE}
        self._compositor = Compositor(harmonizer, fit=self.fit, **values)
        self._matte = None if self.matte == "alpha" else open_matte(self.matte)
        return True

    def _open_background(self) -> bool:
        """Open the background, where it is another one than before."""
        spec = self.background
        if self._behind_is != spec:
            kind, _, amount = spec.partition(":")
            size_hw = (self._info.height, self._info.width)
            opened = BlurBackground(amount) if kind == "blur" else open_background(spec, size_hw, self.fit)
            if self._behind is not None:
                self._behind.close()
            self._behind, self._behind_is, self._behind_since_s = opened, spec, self._shown_s
        return True

    def _work(self, given: Any, result: Any) -> Any:
        compositor = self._compositor
        assert compositor is not None
        for name in _LIVE:
            setattr(compositor, name, getattr(self, name))
        self._open_background()
        size, to_bgr, from_bgr = _FORMATS[self._info.finfo.name]
        with given.map(Gst.MapFlags.READ) as mapped:
            pixels = self._pixels(given, mapped, size)
            frame = self._copy("frame", 3)
            np.copyto(frame, pixels) if to_bgr is None else cv2.cvtColor(pixels, to_bgr, frame)
            alpha = pixels[..., 3].copy() if self._matte is None else self._matte(frame)
        time_s = self._time_s(given)
        behind = self._background(frame, alpha, time_s)
        subject = frame if self._matte is None else self._matte.foreground(frame, alpha)
        shown = compositor.process(subject, alpha, behind, out=self._copy("shown", 3), pts_s=time_s)
        with result.map(Gst.MapFlags.WRITE) as mapped:
            pixels = self._pixels(result, mapped, size)
            np.copyto(pixels, shown if from_bgr is None else cv2.cvtColor(shown, from_bgr, self._copy("coded", size)))
        return Gst.FlowReturn.OK

    def _background(self, frame: Frame, alpha: Alpha, time_s: float) -> Frame:
        if isinstance(self._behind, BlurBackground):
            return self._behind.behind(frame, alpha)
        assert self._behind is not None
        return self._behind.at(max(0.0, time_s - self._behind_since_s), frame.shape[:2])

    def _pixels(self, buffer: Any, mapped: Any, size: int) -> NDArray[np.uint8]:
        """(H, W, ``size``) on a mapped buffer, whose rows may be padded."""
        meta = GstVideo.buffer_get_video_meta(buffer)
        offset, stride = (
            (self._info.offset[0], self._info.stride[0]) if meta is None else (meta.offset[0], meta.stride[0])
        )
        height, width = self._info.height, self._info.width
        if stride < width * size or offset + (height - 1) * stride + width * size > mapped.size:
            raise MatteError(f"a buffer of {mapped.size} bytes holds no frame of {width} x {height}", "check the caps")
        return np.ndarray((height, width, size), np.uint8, mapped.data, offset, (stride, size, 1))

    def _copy(self, name: str, channels: int) -> NDArray[np.uint8]:
        """A picture that is kept from frame to frame."""
        if name not in self._kept:
            self._kept[name] = np.empty((self._info.height, self._info.width, channels), np.uint8)
        return self._kept[name]

    def _start_over(self) -> None:
        self._seen_s: float | None = None  # the last frame's time, and what was shown of the background by then
        self._shown_s = 0.0

    def _time_s(self, buffer: Any) -> float:
        """Seconds since the first frame; they go on where timestamps are missing, or go back after a seek."""
        usual = self._frame_duration() / Gst.SECOND
        seen = None if buffer.pts == Gst.CLOCK_TIME_NONE else buffer.pts / Gst.SECOND
        if self._seen_s is not None:
            step = usual if seen is None else seen - self._seen_s
            self._shown_s += step if step >= 0 else usual
        self._seen_s = seen if seen is not None else (self._seen_s or 0.0) + usual
        return self._shown_s

    def _frame_duration(self) -> int:
        """Nanoseconds; a thirtieth of a second where the caps tell no rate."""
        info = self._info
        return Gst.SECOND * info.fps_d // info.fps_n if info is not None and info.fps_n else Gst.SECOND // 30

    def _tried(self, work: Any, otherwise: Any) -> Any:
        """Do it; what goes wrong ends the pipeline with an error of this element, the hint among it."""
        try:
            return work()
        except EdgeHarmonyError as error:
            domain, code = Gst.LibraryError.quark(), int(Gst.LibraryError.SETTINGS)
            text, more = f"{error.message} (hint: {error.hint})", type(error).__name__
        except Exception as error:  # GStreamer would print it and go on with whatever the picture holds
            domain, code = Gst.LibraryError.quark(), int(Gst.LibraryError.FAILED)
            text, more = f"edgeharmony failed: {error!r}", "report it, with the pipeline"
        self.message_full(Gst.MessageType.ERROR, domain, code, text, more, "element.py", "EdgeHarmony", 0)
        return otherwise
