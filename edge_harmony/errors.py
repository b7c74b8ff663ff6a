"""The errors that edge_harmony raises on purpose, each with a hint that names the remedy."""

from __future__ import annotations


class EdgeHarmonyError(Exception):
    """Base of every deliberate error.

    Args:
        message: what went wrong, in one line, with the name of the file or option concerned.
        hint: what the user can do about it, in one line; may be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class SourceError(EdgeHarmonyError):
    """A picture, video or camera cannot be read, or holds something that we refuse."""


class SinkError(EdgeHarmonyError):
    """A result cannot be written."""


class MatteError(EdgeHarmonyError):
    """An alpha matte or mask is unusable, or a matting method cannot run."""


class ModelError(EdgeHarmonyError):
    """A model file is missing, corrupt, or of another contract."""


class EngineMismatchError(ModelError):
    """A TensorRT engine was built for another GPU, TensorRT, model or contract."""


class BackendUnavailableError(EdgeHarmonyError):
    """A backend that was asked for by name cannot run here."""


class ConfigError(EdgeHarmonyError):
    """A setting is unknown, of the wrong type or out of range."""
