"""The process that holds the connection of a network sink.

    python -m edge_harmony.sinks.push_process

PyAV opens an output while it holds Python's lock, and cannot be told to give up: a server that does not answer would
freeze the whole program. So the connection lives here, where it can hang, crash or be ended without anybody noticing.

Standard input: one line of JSON (``url``, ``format``, ``options``, ``timeout_s``), then the encoded stream as NUT. The
end of it ends the connection properly. Standard output: lines of JSON, ``{"connected": true}`` or ``{"error": WORDS}``.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any, BinaryIO, Final

from edge_harmony.capture.container import import_av, native_words

# Begin with the first packet; not with nobuffer, which throws that one away.
_INPUT_OPTIONS: Final = {"probesize": "32", "analyzeduration": "0"}


class _Arriving:
    """Standard input for PyAV, which gets what is there instead of waiting for a full buffer."""

    def __init__(self, stream: BinaryIO) -> None:
        self._read = getattr(stream, "read1", stream.read)

    def read(self, size: int) -> bytes:
        return self._read(size)


def push(task: Mapping[str, Any], stream: BinaryIO) -> None:
    """Send what comes from ``stream`` to the server until it ends; every step has ``timeout_s``, then we exit.

    Raises:
        FFmpegError: the connection failed.
    """
    av = import_av("streaming to a server")
    timeout_s = float(task["timeout_s"])
    source = av.open(_Arriving(stream), format="nut", options=_INPUT_OPTIONS)
    sink = av.open(task["url"], "w", format=task["format"], container_options=dict(task["options"]))
    streams = {stream.index: sink.add_stream_from_template(stream) for stream in source.streams}
    with open(os.devnull, "w") as nowhere:
        # A watchdog that needs no Python's lock: it ends the process when a step takes too long.
        faulthandler.dump_traceback_later(timeout_s, exit=True, file=nowhere)
        sink.start_encoding()
        faulthandler.cancel_dump_traceback_later()
        _say(connected=True)
        for packet in source.demux():
            if not packet.size:  # the last one, which flushes decoders
                continue
            if packet.dts is None:  # NUT writes one time; there are no frames that depend on later ones
                packet.dts = packet.pts
            packet.stream = streams[packet.stream.index]
            faulthandler.dump_traceback_later(timeout_s, exit=True, file=nowhere)
            sink.mux(packet)
            faulthandler.cancel_dump_traceback_later()
        faulthandler.dump_traceback_later(timeout_s, exit=True, file=nowhere)
        sink.close()
        faulthandler.cancel_dump_traceback_later()


def _say(**words: Any) -> None:
    print(json.dumps(words), flush=True)


def main() -> int:
    """Run, and say on standard output what came of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business, which then ends our input
    task = json.loads(sys.stdin.buffer.readline())
    try:
        push(task, sys.stdin.buffer)
    except Exception as error:
        _say(error=native_words(error))
        os._exit(1)  # closing a broken connection may hang, too
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
