"""Opening containers of video and sound through PyAV (FFmpeg), by a file's name and by nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from edge_harmony.errors import BackendUnavailableError

_OLDEST_PYAV: Final = (17, 1)


def open_container(path: str | Path, mode: str = "r", **options: Any) -> Any:
    """Open a file with FFmpeg, whatever it is called.

    FFmpeg takes what stands before a colon for a protocol: ``10:30 take.mp4`` would be an unknown one, and
    ``http:clip.mp4`` would be asked of the network. Here a name is a name. Titles in another encoding than UTF-8 are no
    reason to refuse a file: what cannot be read of them is replaced.

    Raises:
        av.error.FFmpegError: as ``av.open``. BackendUnavailableError: PyAV is not installed.
    """
    av = import_av("reading video" if mode == "r" else "writing video")
    return av.open(f"file:{path}", mode, **any_text(av), **options)


def any_text(av: Any) -> dict[str, str]:
    """What PyAV before 19 is told so that text in any encoding passes; later ones take no such option."""
    return {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}


def import_av(purpose: str) -> Any:
    """PyAV 17.1 or later, or ``BackendUnavailableError`` that says how to get it.

    Earlier ones crash when a connection ends, or do not tell a frame's transfer characteristics, so HDR would pass.
    """
    try:
        import av
    except ImportError as error:
        raise BackendUnavailableError(
            f"{purpose} needs PyAV, which cannot be imported: {error}", "pip install av"
        ) from error
    if tuple(int(part) for part in av.__version__.split(".")[:2]) < _OLDEST_PYAV:
        oldest = ".".join(map(str, _OLDEST_PYAV))
        raise BackendUnavailableError(
            f"{purpose} needs PyAV {oldest} or later, this is {av.__version__}", "pip install --upgrade av"
        )
    return av


def native_words(error: Any, path: Path | None = None) -> str:
    """FFmpeg's own words for an error, on one line.

    When ``path`` is given, the file is opened once more with FFmpeg's log on, because the log often says what the
    error's name does not (``moov atom not found``).
    """
    words = str(getattr(error, "strerror", None) or error).splitlines()[0]
    log = getattr(error, "log", None)
    said = str(log[2]) if log and len(log) == 3 else ""
    if path is not None and not said:
        said = _said_on_opening(path)
    said = " ".join(said.split()).rstrip(".")
    return f"{words} ({said})" if said and said not in words else words


def _said_on_opening(path: Path) -> str:
    av = import_av("reading video")
    level, skips = av.logging.get_level(), av.logging.get_skip_repeated()
    try:
        with av.logging.Capture() as lines:
            av.logging.set_level(av.logging.ERROR)
            av.logging.set_skip_repeated(False)
            try:
                open_container(path).close()
            except av.error.FFmpegError:
                pass
            finally:
                av.logging.set_level(level)
                av.logging.set_skip_repeated(skips)
    except Exception:  # the words are a courtesy: their lack must not hide the error itself
        return ""
    return lines[-1][2] if lines else ""
