"""Any ONNX matting model, recognised by its signature."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import BackendUnavailableError, ConfigError, MatteError
from edge_harmony.matte.appearance import Appearance
from edge_harmony.matte.base import Matte
from edge_harmony.matte.foreground import estimate_foreground
from edge_harmony.matte.motion import Motion
from edge_harmony.matte.refine import Refinement, guided_alpha, levels
from edge_harmony.matte.scale import shrink_to
from edge_harmony.matte.steady import AlphaSteadier
from edge_harmony.pixels.frame import Alpha, Frame

NORMALISATIONS: Final = {
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
_TYPES: Final = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
_LEAST_SIDE: Final = 16  # pixels: a smaller picture is no picture
_STATES_IN: Final = ("r1i", "r2i", "r3i", "r4i")
_STATES_OUT: Final = ("r1o", "r2o", "r3o", "r4o")
_EXPECTED: Final = (
    "either one RGB input (N,3,H,W or N,H,W,3; a fourth channel is the previous alpha) and one output of one "
    "channel, or Robust Video Matting's src, r1i..r4i, downsample_ratio -> fgr, pha, r1o..r4o"
)


@dataclass(frozen=True)
class _Signature:
    """What a single-output model takes and gives."""

    name: str
    output: str
    dtype: Any
    channels: int
    channels_last: bool
    size_hw: tuple[int | None, int | None]


class OnnxMatte(Matte):
    """Runs a matting model on ONNX Runtime's CPU provider.

    Two signatures are understood. A *single-output* model takes one picture, float32, float16 or uint8, RGB,
    (1, 3, H, W) or (1, H, W, 3), of fixed or free size, and gives alpha 0..1 at any size, (1, 1, H, W) and the
    like; of two channels the last is the subject's; where it has four input channels, the fourth is its own
    previous alpha. A *recurrent* model is Robust Video Matting's: ``src``, ``r1i``..``r4i`` and
    ``downsample_ratio`` in, ``fgr``, ``pha`` and ``r1o``..``r4o`` out. Alphas are never stretched frame by frame.

    Args:
        path: the ONNX file.
        size: longest side, in pixels, that a model of free size sees; a multiple of 32 is made of each side. For a
            recurrent model, the longest side of its own downsampled view.
        normalise: ``unit`` (0..1), ``half`` (-1..1) or ``imagenet`` for float inputs.
        sigmoid: whether the output still needs one.
        snap: whether a smaller output is brought to the frame's size along the picture's edges.
        steady: 0..1, how much of the earlier alpha a single-output model keeps, along the picture's movement, where
            nothing new is seen.
        follow: whether the picture's movement is followed: the alpha from before is carried along, and another shot is
            noticed; about 2 ms.
        appearance: how much the colours of subject and background, learned while it runs, correct a single-output
            model's alpha, from 0 (not at all) to 2; see ``edge_harmony.matte.appearance``.
        black, white: alphas (0..1) of the model that become 0 and 1.
        threads: for ONNX Runtime; None lets it choose.
        refinement, estimate: see ``Matte``.

    Raises:
        BackendUnavailableError: ONNX Runtime is missing.
        MatteError: the file is missing, corrupt, or of another signature (the message lists what it has).
        ConfigError: an option out of range.
    """

    name = "ONNX"

    def __init__(
        self,
        path: str | Path,
        size: int = 512,
        normalise: str = "unit",
        sigmoid: bool = False,
        snap: bool = True,
        threads: int | None = None,
        steady: float = 0.0,
        follow: bool = True,
        appearance: float = 0.0,
        black: float = 0.0,
        white: float = 1.0,
        refinement: Refinement | None = None,
        estimate: bool = True,
    ) -> None:
        super().__init__(refinement, estimate)
        if not 0.0 <= steady < 1.0:
            raise ConfigError(f"steadiness {steady} is out of range", "use 0 (off) up to 0.95")
        if not 0.0 <= appearance <= 2.0:
            raise ConfigError(f"appearance {appearance} is out of range", "use 0 (off) up to 2; 1 is usual")
        if not 0.0 <= black < white <= 1.0:
            raise ConfigError(f"alpha levels {black} to {white} are impossible", "use 0 <= black < white <= 1")
        if normalise not in NORMALISATIONS:
            raise ConfigError(f"normalisation {normalise!r} is unknown", f"use one of: {', '.join(NORMALISATIONS)}")
        if not 64 <= size <= 8192:
            raise ConfigError(f"matting size {size} is out of range", "use 64 to 8192 pixels")
        mean, deviation = NORMALISATIONS[normalise]
        # (code / 255 - mean) / deviation, as one scale and offset for each channel
        self._scale = (1.0 / (255.0 * np.array(deviation))).astype(np.float32)
        self._offset = (-np.array(mean) / np.array(deviation)).astype(np.float32)
        self.size, self.sigmoid, self.snap = size, sigmoid, snap
        self._levels = (black, white)
        self._appearance = Appearance(appearance) if appearance else None
        self._steadier = AlphaSteadier(steady) if steady else None
        self.path = Path(path)
        self._session = _open_session(self.path, threads)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        try:
            names_in, names_out = {i.name for i in inputs}, {o.name for o in outputs}
        except UnicodeDecodeError:
            raise MatteError(
                f"{self.path} has inputs or outputs whose names are no text in UTF-8",
                "export it again with other names",
            ) from None
        self.recurrent = {"src", "downsample_ratio", *_STATES_IN} == names_in and {"pha", *_STATES_OUT} <= names_out
        self._single = None if self.recurrent else _read_signature(self.path, inputs, outputs)
        self._float = _TYPES.get(next((i.type for i in inputs if i.name == "src"), ""), np.float32)
        self._gives_colour = self.recurrent and "fgr" in names_out
        remembers = self._single is not None and (self._single.channels == 4 or steady)
        self._motion = Motion(follow) if remembers else None
        self._states: list[NDArray[Any]] | None = None
        self._previous: Alpha | None = None
        self._last: tuple[Frame, NDArray[Any]] | None = None

    def reset(self) -> None:
        """Forget the recurrent states, the previous alpha and the colours."""
        self._states = self._previous = self._last = None
        if self._appearance is not None:
            self._appearance.reset()
        if self._steadier is not None:
            self._steadier.reset()
        if self._motion is not None:
            self._motion.reset()

    def _alpha_impl(self, frame_bgr: Frame) -> Alpha:
        alpha = self._run_recurrent(frame_bgr) if self.recurrent else self._run_single(frame_bgr)
        height, width = frame_bgr.shape[:2]
        if alpha.shape == (height, width):
            return alpha
        if self.snap:
            factor = max(height / alpha.shape[0], width / alpha.shape[1])
            return guided_alpha(alpha, frame_bgr, radius=max(2, round(2 * factor)), epsilon=1e-4)
        return cv2.resize(alpha, (width, height), interpolation=cv2.INTER_LINEAR)

    def _foreground_impl(self, frame_bgr: Frame, alpha: Alpha) -> Frame:
        """The model's own foreground colour where it gives one of the frame's size, else an estimate."""
        if self._last is None or self._last[0] is not frame_bgr or self._last[1].shape[2:] != frame_bgr.shape[:2]:
            return estimate_foreground(frame_bgr, alpha)
        rgb = np.clip(self._last[1][0].astype(np.float32).transpose(1, 2, 0) * 255.0 + 0.5, 0, 255)
        colour = cv2.cvtColor(rgb.astype(np.uint8), cv2.COLOR_RGB2BGR)
        np.copyto(colour, frame_bgr, where=((alpha == 255) | (alpha == 0))[..., None])
        return colour

    def _run_single(self, frame_bgr: Frame) -> Alpha:
        signature = self._single
        assert signature is not None
        height, width = frame_bgr.shape[:2]
        free = self._view_size(height, width)
        rows, columns = signature.size_hw[0] or free[0], signature.size_hw[1] or free[1]
        small = shrink_to(frame_bgr, (columns, rows))
        self._follow(small if small is not frame_bgr else small.copy())
        previous = None
        if signature.channels == 4:
            previous = np.zeros((rows, columns), np.uint8) if self._previous is None else self._previous
            if previous.shape != (rows, columns):
                previous = cv2.resize(previous, (columns, rows), interpolation=cv2.INTER_AREA)
            if self._motion is not None:
                previous = self._motion.carry(previous)
        self._previous = self._look(small, previous)
        if self._appearance is not None:
            sides = self._previous.shape[::-1]
            view = small if small.shape[:2] == self._previous.shape else cv2.resize(small, sides)
            self._previous = self._appearance(self._previous, view)
        alpha = levels(self._previous, *self._levels) if self._levels != (0.0, 1.0) else self._previous
        if self._steadier is None or self._motion is None:
            return alpha
        if alpha.shape != (rows, columns):
            alpha = cv2.resize(alpha, (columns, rows), interpolation=cv2.INTER_AREA)
        return self._steadier(alpha, self._motion)

    def _look(self, view_bgr: Frame, previous: Alpha | None) -> Alpha:
        """What a single-output model finds in a view of its size, given the alpha from before where it takes one."""
        signature = self._single
        assert signature is not None
        blue, green, red = cv2.split(view_bgr)
        planes = [self._pack(plane, i, signature.dtype) for i, plane in enumerate((red, green, blue))]
        if previous is not None:
            fourth = previous if signature.dtype == np.uint8 else previous * np.float32(1 / 255)
            planes.append(fourth.astype(signature.dtype, copy=False))
        picture = np.stack(planes, 2 if signature.channels_last else 0)
        return self._to_alpha(self._run([signature.output], {signature.name: picture[None]})[0])

    def _follow(self, view_bgr: Frame) -> None:
        """Where each place of the view came from; in another shot, what was learned of the one before is forgotten."""
        if self._motion is None:
            return
        self._motion.follow(view_bgr)
        if self._motion.change is None:  # the first view of a shot
            self._previous = None
            if self._appearance is not None:
                self._appearance.reset()

    def _view_size(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns that a model of free size sees."""
        shrink = min(1.0, self.size / max(height, width))
        return max(32, round(height * shrink / 32) * 32), max(32, round(width * shrink / 32) * 32)

    def _run_recurrent(self, frame_bgr: Frame) -> Alpha:
        height, width = frame_bgr.shape[:2]
        src = np.ascontiguousarray(cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2RGB).transpose(2, 0, 1))[None]
        feeds: dict[str, NDArray[Any]] = {
            "src": (src * np.float32(1 / 255)).astype(self._float),
            "downsample_ratio": np.array([min(1.0, self.size / max(height, width))], np.float32),
        }
        states = self._states or [np.zeros((1, 1, 1, 1), self._float)] * 4
        feeds.update(zip(_STATES_IN, states, strict=True))
        wanted = ["pha", *_STATES_OUT, *(["fgr"] if self._gives_colour and self.estimate else [])]
        results = self._run(wanted, feeds)
        self._states = results[1:5]
        self._last = (frame_bgr, results[5]) if len(results) > 5 else None
        return self._to_alpha(results[0])

    def _run(self, outputs: list[str], feeds: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        try:
            return self._session.run(outputs, feeds)
        except Exception as error:  # ONNX Runtime's own classes have no common public base
            first_line = str(error).strip().splitlines()[0]
            raise MatteError(
                f"the matting model {self.path} failed: {first_line}",
                "if the frame's size changed, reset the matte; otherwise try another size",
            ) from error

    def _pack(self, plane: NDArray[np.uint8], channel: int, dtype: Any) -> NDArray[Any]:
        if dtype == np.uint8:
            return plane
        return (plane * self._scale[channel] + self._offset[channel]).astype(dtype, copy=False)

    def _to_alpha(self, output: NDArray[Any]) -> Alpha:
        """Whatever layout to uint8 (h, w); of two channels the last counts."""
        if output.size == 0 or output.ndim < 2:
            shape = " x ".join(map(str, output.shape)) or "one number"
            raise MatteError(
                f"the matting model {self.path} gave no alpha ({shape})", "export it again, or try another size"
            )
        if output.dtype == np.uint8:
            values = output
        else:
            values = output.astype(np.float32)
            if self.sigmoid:
                values = 1.0 / (1.0 + np.exp(-values))
            if not np.isfinite(values).all():
                raise MatteError(
                    f"the matting model {self.path} gave NaN or infinity", "try normalise, or an FP32 model"
                )
            values = (np.clip(values, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
        while values.ndim > 3:
            values = values[0]
        if values.ndim == 3:
            values = values[-1] if values.shape[0] in (1, 2) else values[..., -1]
        return np.ascontiguousarray(values)


def _open_session(path: Path, threads: int | None) -> Any:
    if not path.is_file():
        raise MatteError(f"the matting model {path} does not exist", "check the path")
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendUnavailableError(
            "ONNX Runtime is not installed; a matting model needs it", "pip install onnxruntime"
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own classes have no common public base
        raise MatteError(
            f"{path} is not an ONNX model that can be loaded: {str(error).strip().splitlines()[0]}",
            "download or export the model again",
        ) from error


def _read_signature(path: Path, inputs: list[Any], outputs: list[Any]) -> _Signature:
    """Recognise a single-output model, or raise MatteError with everything that was found."""
    found = "; ".join(
        [f"input {i.name} {i.type} {i.shape}" for i in inputs]
        + [f"output {o.name} {o.type} {o.shape}" for o in outputs]
    )
    wrong = MatteError(f"{path} is no matting model that can be recognised. It has {found}", f"needed: {_EXPECTED}")
    if len(inputs) != 1 or inputs[0].type not in _TYPES or len(inputs[0].shape) != 4:
        raise wrong
    shape = [d if isinstance(d, int) and d > 0 else None for d in inputs[0].shape]
    if shape[1] in (3, 4) and shape[3] not in (3, 4):
        channels_last, channels, size_hw = False, shape[1], (shape[2], shape[3])
    elif shape[3] in (3, 4):
        channels_last, channels, size_hw = True, shape[3], (shape[1], shape[2])
    else:
        raise wrong
    alphas = [o for o in outputs if o.type in _TYPES and _is_alpha(o.shape)]
    # Several heads of one shape (deep supervision) give the finest first.
    if not alphas or (len(outputs) > 1 and len(alphas) != len(outputs)):
        raise wrong
    if any(side is not None and side < _LEAST_SIDE for side in size_hw):
        raise wrong
    return _Signature(inputs[0].name, alphas[0].name, _TYPES[inputs[0].type], channels, channels_last, size_hw)


def _is_alpha(shape: list[Any]) -> bool:
    """Whether an output's shape can be an alpha: (N, 1|2, H, W), (N, H, W, 1|2), (N, H, W) or (H, W)."""
    if len(shape) == 4:
        sides = shape[2:] if shape[1] in (1, 2) else shape[1:3]
        found = shape[1] in (1, 2) or shape[3] in (1, 2)
    else:
        sides, found = shape[-2:], len(shape) in (2, 3)
    return found and all(not isinstance(side, int) or side >= _LEAST_SIDE for side in sides)
