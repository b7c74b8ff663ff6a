"""Sound, subtitles, titles and chapters: carried as they are, or encoded, and never at the picture's cost."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from edge_harmony.capture.video import VideoFile
from edge_harmony.errors import ConfigError
from edge_harmony.sinks.file import open_sink
from edge_harmony.sinks.recording import Recording
from edge_harmony.sinks.video import VideoOptions, VideoSink
from tests.capture.scenes import write_clip

FAST = VideoOptions(crf=18, preset="ultrafast", threads=1)


def _transport_stream(path: Path) -> Path:
    return write_clip(path, 20, pts=range(0, 2 * 20, 2), time_base=Fraction(1, 25), audio_s=1.6)


def _record(source: VideoFile, path: Path) -> Recording:
    first_s = next(iter(source)).time_s
    sink = Recording(path, FAST, audio_from=source.path, audio_start_s=first_s, lossless=True)
    sink.start(source.size_hw, source.rate)
    for frame in source:
        sink.write(frame.image_bgr, float(frame.time_s - first_s))
    sink.close()
    return sink


def _samples(path: Path) -> tuple[np.ndarray, float]:
    """The sound as one row, and when it starts."""
    with av.open(str(path)) as file:
        frames = list(file.decode(audio=0))
    first = next(frame for frame in frames if frame.pts is not None)
    rows = [frame.to_ndarray()[0] for frame in frames]  # of the first channel
    return np.concatenate(rows).astype(float), float(first.pts * first.time_base)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_aac_of_a_transport_stream_is_recorded_whole(tmp_path: Path, suffix: str) -> None:
    source = VideoFile(_transport_stream(tmp_path / "in.ts"))
    sink = _record(source, tmp_path / f"out{suffix}")
    assert sink.faults == []
    assert sum(1 for _ in VideoFile(sink.path)) == 20
    (before, started), (after, _) = _samples(source.path), _samples(sink.path)
    with av.open(str(sink.path)) as file:
        sound = file.streams.audio[0].codec_context
        assert (sound.name, sound.sample_rate, sound.layout.nb_channels) == ("aac", 48000, 2)
        assert sound.extradata == b"\x11\x90"  # AAC-LC, 48 kHz, two channels: once, not before every packet
    lost = round((float(next(iter(source)).time_s) - started) * 48000)
    assert abs(len(before) - max(lost, 0) - len(after)) <= 2048


def test_a_clock_that_goes_back_costs_no_picture(tmp_path: Path) -> None:
    one = _transport_stream(tmp_path / "one.ts").read_bytes()
    (tmp_path / "two.ts").write_bytes(one + one)  # joined as bytes: every time comes twice
    with VideoSink(tmp_path / "out.mp4", (96, 128), Fraction(1, 25), Fraction(25), FAST, tmp_path / "two.ts") as sink:
        for index in range(60):
            sink.write(np.full((96, 128, 3), index, np.uint8), index)
    assert sum(1 for _ in VideoFile(tmp_path / "out.mp4")) == 60
    assert len(_samples(tmp_path / "out.mp4")[0]) > 40_000


def test_sound_that_breaks_off_is_said_and_the_picture_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = VideoFile(write_clip(tmp_path / "in.mkv", 20, audio_s=0.8))
    sink = VideoSink(
        tmp_path / "out.mp4", source.size_hw, source.time_base, source.rate, FAST, source.path, recoverable=True
    )
    assert sink._along is not None
    track = next(iter(sink._along._tracks.values()))
    taken = track.feed

    def refuse_later(packet: Any) -> list[Any]:
        if packet.pts * Fraction(packet.time_base) > Fraction(3, 10):
            raise av.error.PermissionError(1, "Operation not permitted")
        return taken(packet)

    monkeypatch.setattr(track, "feed", refuse_later)
    with caplog.at_level(logging.WARNING):
        for frame in source:
            sink.write(frame.image_bgr, frame.pts)
        sink.close()
    assert len(sink.faults) == 1
    assert "Operation not permitted" in caplog.text
    assert sum(1 for _ in VideoFile(sink.path)) == 20
    assert 0.2 < len(_samples(sink.path)[0]) / 48000 < 0.45


@pytest.mark.parametrize(("suffix", "codec"), [(".mov", "libopus")])
def test_sound_that_the_container_cannot_hold_becomes_aac_in_time(
    tmp_path: Path, suffix: str, codec: str, caplog: pytest.LogCaptureFixture
) -> None:
    source = VideoFile(write_clip(tmp_path / "in.mkv", 40, audio_s=1.6, audio_codec=codec))
    with caplog.at_level(25), open_sink(tmp_path / f"out{suffix}", source, options=FAST) as sink:
        for frame in source:
            sink.write(frame.image_bgr, frame.pts, frame.duration)
    assert "encoded as AAC" in caplog.text
    with av.open(str(sink.path)) as file:
        assert file.streams.audio[0].codec_context.name == "aac"
    samples, started = _samples(sink.path)
    loud = np.flatnonzero(np.abs(samples) > 0.25) / 48000 + started
    clicks = [loud[0], *loud[1:][np.diff(loud) > 0.1]]
    shown = float(next(iter(VideoFile(sink.path))).time_s)
    assert clicks == pytest.approx([shown + half / 2 for half in range(4)], abs=0.012)


def _with_subtitles(path: Path, codec: str) -> Path:
    plain = write_clip(path.with_name("plain.mkv"), 50)
    with av.open(str(plain)) as source, av.open(str(path), "w") as out:
        picture = out.add_stream_from_template(source.streams.video[0])
        words = out.add_mux_stream(codec)
        words.metadata["language"] = "fra"
        out.metadata.update({"title": "Bonne année", "artist": "me", "location": "+52.5+013.4/"})
        out.set_chapters(
            [{"id": 1, "start": 0, "end": 1000, "time_base": Fraction(1, 1000), "metadata": {"title": "a"}}]
        )
        for at in (0, 1000):
            line = av.Packet(b"hello" if codec == "subrip" else b"\x00\x05hello")
            line.pts = line.dts = at
            line.duration, line.time_base, line.stream = 500, Fraction(1, 1000), words
            out.mux(line)
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = picture
                out.mux(packet)
    return path


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_subtitles_titles_and_chapters_go_along_or_are_named(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    source = VideoFile(_with_subtitles(tmp_path / "in.mkv", "subrip"))
    with caplog.at_level(25), open_sink(tmp_path / f"out{suffix}", source, options=FAST) as sink:
        for frame in source:
            sink.write(frame.image_bgr, frame.pts, frame.duration)
    with av.open(str(sink.path)) as file:
        titles = {key.lower(): value for key, value in file.metadata.items()}
        assert (titles["title"], titles["artist"]) == ("Bonne année", "me")
        assert "location" not in titles  # where it was filmed is nobody's business
        assert [chapter["metadata"].get("title") for chapter in file.chapters()] == ["a"]
        lines = [bytes(p) for p in file.demux(*file.streams.subtitles) if p.size] if file.streams.subtitles else []
    if suffix == ".mkv":
        assert lines == [b"hello", b"hello"]
    else:
        assert "cannot hold the source's srt subtitles" in caplog.text


def test_sound_can_stay_behind(tmp_path: Path) -> None:
    source = VideoFile(write_clip(tmp_path / "in.mkv", 5, audio_s=0.2))
    with open_sink(tmp_path / "out.mp4", source, options=FAST, audio=False) as sink:
        sink.write(next(iter(source)).image_bgr, 0)
    with av.open(str(sink.path)) as file:
        assert [stream.type for stream in file.streams] == ["video"]


def test_the_encoder_is_a_choice(tmp_path: Path) -> None:
    with VideoSink(tmp_path / "a.mp4", (96, 128), Fraction(1, 25), Fraction(25), VideoOptions(30, codec="av1")) as sink:
        for index in range(3):
            sink.write(np.full((96, 128, 3), 40 * index, np.uint8), index)
    with av.open(str(tmp_path / "a.mp4")) as file:
        assert file.streams.video[0].codec_context.name in ("av1", "libdav1d")
    shown = [frame.image_bgr.mean() for frame in VideoFile(tmp_path / "a.mp4")]
    assert shown == pytest.approx([0, 40, 80], abs=3)
    with pytest.raises(ConfigError, match="unknown"):
        VideoSink(tmp_path / "b.mp4", (96, 128), Fraction(1, 25), Fraction(25), VideoOptions(codec="h265"))
    assert not (tmp_path / "b.mp4").exists()
