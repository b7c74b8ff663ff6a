"""A client of the server that ``python -m export.triton`` made a repository for. It needs NumPy and tritonclient[grpc].

::

    with HarmonizeStream("localhost:8001") as harmonize:
        for frame_bgr, alpha, background_bgr in frames:
            picture_bgr = harmonize(frame_bgr, alpha, background_bgr)
"""

from __future__ import annotations

import secrets

import numpy as np
import tritonclient.grpc as triton

SMALLEST = 64  # pixels, the smallest side of a frame


class HarmonizeStream:
    """One stream of frames, harmonized by the server and kept steady there; for one thread.

    Args:
        url: HOST:PORT of the server's gRPC.
        model: its name in the repository.
        strength: 0 leaves colours alone, 1 harmonizes fully; None leaves it to the repository.
        smoothing: 0 follows every frame, 0.8 settles in half a second; None leaves it to the repository.
        timeout_s: how long to wait for a frame.
    """

    def __init__(
        self,
        url: str = "localhost:8001",
        model: str = "harmonize",
        strength: float | None = None,
        smoothing: float | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        self._client = triton.InferenceServerClient(url)
        self._model, self._timeout_s = model, timeout_s
        self._settings = {"strength": strength, "smoothing": smoothing}
        self._sequence = secrets.randbits(62) + 1
        self._begun = False

    def __call__(
        self, frame_bgr: np.ndarray, alpha: np.ndarray, background_bgr: np.ndarray, pts_s: float | None = None
    ) -> np.ndarray:
        """Harmonize the next frame.

        Args:
            frame_bgr: uint8 (H, W, 3), the subject's straight colour, at least 64 x 64.
            alpha: uint8 (H, W).
            background_bgr: uint8 (h, w, 3), of any size from 64 x 64.
            pts_s: when the frame is shown, in seconds; without it frames are a thirtieth apart.

        Returns:
            uint8 (H, W, 3).

        Raises:
            tritonclient.utils.InferenceServerException: the server cannot be reached, or refuses the frame, saying why.
        """
        return self._ask(frame_bgr, alpha, background_bgr, pts_s, False)

    def close(self) -> None:
        """End the sequence, so that the server forgets it at once rather than after a while."""
        if self._begun:
            nothing = np.zeros((SMALLEST, SMALLEST, 3), np.uint8)
            self._ask(nothing, nothing[:, :, 0], nothing, None, True)
        self._client.close()

    def __enter__(self) -> HarmonizeStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(
        self, frame_bgr: np.ndarray, alpha: np.ndarray, background_bgr: np.ndarray, pts_s: float | None, ends: bool
    ) -> np.ndarray:
        arrays = {"foreground": frame_bgr, "alpha": alpha, "background": background_bgr}
        inputs = [_input(name, np.ascontiguousarray(array), "UINT8") for name, array in arrays.items()]
        for name, value in self._settings.items():
            if value is not None:
                inputs.append(_input(name, np.array([value], np.float32), "FP32"))
        if pts_s is not None:
            inputs.append(_input("pts_s", np.array([pts_s], np.float64), "FP64"))
        result = self._client.infer(
            self._model,
            inputs,
            sequence_id=self._sequence,
            sequence_start=not self._begun,
            sequence_end=ends,
            client_timeout=self._timeout_s,
        )
        assert result is not None
        self._begun = not ends
        picture = result.as_numpy("harmonized")
        assert picture is not None
        return picture


def _input(name: str, array: np.ndarray, kind: str) -> triton.InferInput:
    tensor = triton.InferInput(name, list(array.shape), kind)
    tensor.set_data_from_numpy(array)
    return tensor
