"""A live pipeline, driven as an application does; run by GStreamer's own Python. It exits with 0 when all is well."""

import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

Gst.init(None)
pipeline = Gst.parse_launch(
    "videotestsrc pattern=green is-live=true ! video/x-raw,format=BGRA,width=160,height=120,framerate=10/1 ! "
    "edgeharmony name=ours background=#404040 matte=chroma:#00ff00 model=nano threads=1 backend=onnxruntime ! "
    "appsink name=sink sync=false max-buffers=2 drop=true"
)
ours, sink = pipeline.get_by_name("ours"), pipeline.get_by_name("sink")
pipeline.set_state(Gst.State.PLAYING)


def pull(times):
    for _ in range(times):
        sample = sink.emit("try-pull-sample", 60 * Gst.SECOND)
        assert sample is not None, pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR).parse_error()
    return sample.get_buffer().extract_dup(0, 4)


assert pull(2) == bytes([64, 64, 64, 255])  # all of it is the screen
query = Gst.Query.new_latency()
assert ours.get_static_pad("src").query(query)
behind = Gst.Query.new_latency()
assert ours.get_static_pad("sink").peer_query(behind)
(live, least, _), (_, before, _) = query.parse_latency(), behind.parse_latency()
assert live
assert least - before >= Gst.SECOND // 10, f"{least} and {before}: a frame lasts a tenth of a second"

ours.set_property("background", "#8090a0")
pull(5)  # some frames are on their way
assert pull(1) == bytes([160, 144, 128, 255])
ours.set_property("strength", 3.0)
message = pipeline.get_bus().timed_pop_filtered(60 * Gst.SECOND, Gst.MessageType.ERROR)
assert message is not None, "a strength of 3 must end it"
said, _ = message.parse_error()
assert "strength is 3" in said.message, said.message
pipeline.set_state(Gst.State.NULL)
sys.exit(0)
