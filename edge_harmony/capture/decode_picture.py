"""The bytes of a picture's file as an array: any ordinary format, 8 bits, upright, in sRGB."""

from __future__ import annotations

import io
import logging
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.capture.depth import to_8_bits
from edge_harmony.capture.hdr import CURVE
from edge_harmony.capture.hdr_picture import hdr_kind, tone_mapped
from edge_harmony.capture.kind import picture_format
from edge_harmony.capture.orientation import read_orientation, turn_upright
from edge_harmony.capture.wide_gamut import to_srgb, wide_primaries
from edge_harmony.errors import BackendUnavailableError, SourceError
from edge_harmony.notice import note

_log = logging.getLogger(__name__)

_BY_PILLOW: Final = ("heif", "avif", "gif", "apng", "webp animation")
_PROFILE_MARKS: Final = (b"ICC_PROFILE\0", b"iCCP", b"ICCP")
_said: set[str] = set()  # profiles that were spoken of: once each, not for every picture of a folder


def decode_picture(data: bytes, name: str, *, mask: bool = False) -> NDArray[np.uint8]:
    """Decode a picture.

    Args:
        data: the file.
        name: for messages.
        mask: whether its values are what counts: 16 bits are then rounded rather than dithered, and a colour profile
            is not applied.

    Returns:
        uint8 (H, W) grey, (H, W, 3) BGR or (H, W, 4) BGRA with straight alpha; an alpha channel that is opaque
        everywhere is left away. Upright. Of an animation, the first frame.

    Raises:
        SourceError: not a picture, cut short, or in floating point.
        BackendUnavailableError: Pillow, or for HEIC pillow-heif, is not installed.
    """
    kind = picture_format(data)
    _refuse_truncated(data, name)
    if kind in _BY_PILLOW:
        image = _by_pillow(data, name, kind)
    else:
        try:
            image: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
        except cv2.error:
            image = None
    if image is None:
        raise SourceError(
            f"{name} is not a picture that can be read ({len(data)} bytes)",
            "use PNG, JPEG, WebP, HEIC, AVIF, TIFF or BMP; a video belongs to 'edge-harmony process'",
        )
    if image.dtype == np.uint16:
        image = to_8_bits(image, dither=not mask)
    if image.dtype != np.uint8:
        raise SourceError(
            f"{name} is HDR ({image.dtype} values); 8 or 16 bits a channel are needed",
            "tone-map it and save it as PNG or JPEG first: values are refused here rather than clipped",
        )
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if image.ndim == 3 and image.shape[2] == 4 and int(image[:, :, 3].min()) == 255:
        image = np.ascontiguousarray(image[:, :, :3])
    tagged = kind in ("heif", "avif") and not mask
    hdr, wide = (hdr_kind(data), wide_primaries(data)) if tagged else ("", "")
    if hdr:
        _say(f"{name}: HDR ({hdr}): tone-mapped to 8-bit sRGB by {CURVE}", f"HDR {hdr}")
        image = tone_mapped(data, image, hdr, kind == "heif")
    elif wide and image.ndim == 3:
        _say(f"{name}: colours of {wide}: converted to sRGB", f"wide {wide}")
        image = to_srgb(image, wide)
    elif not mask:
        image = _to_srgb(image, data, name, kind)
    return image if kind in _BY_PILLOW else turn_upright(image, read_orientation(data))


def open_by_pillow(data: bytes, kind: str) -> Any:
    """Pillow's image of a file; nothing is decoded yet. Raises what Pillow raises, and ``BackendUnavailableError``."""
    try:
        from PIL import Image
    except ImportError as error:
        raise BackendUnavailableError(f"this kind of picture needs Pillow: {error}", "pip install pillow") from error
    if kind == "heif":
        try:
            import pillow_heif
        except ImportError as error:
            raise BackendUnavailableError(f"HEIC needs pillow-heif: {error}", "pip install pillow-heif") from error
        pillow_heif.register_heif_opener()
    return Image.open(io.BytesIO(data))


def _by_pillow(data: bytes, name: str, kind: str) -> NDArray[np.uint8]:
    from PIL import ImageOps

    try:
        with open_by_pillow(data, kind) as image:
            upright: Any = ImageOps.exif_transpose(image)
            return bgr_of(upright)
    except BackendUnavailableError:
        raise
    except Exception as error:  # decoders raise whatever they like
        raise SourceError(f"{name} is damaged: {error}", "copy it again, or export it as JPEG") from error


def bgr_of(image: Any) -> NDArray[np.uint8]:
    """A Pillow image as uint8 (H, W, 3) BGR, or (H, W, 4) BGRA where it has transparency."""
    clear = "A" in image.getbands() or "transparency" in image.info
    rgb = np.asarray(image.convert("RGBA" if clear else "RGB"))
    return cv2.cvtColor(rgb, cv2.COLOR_RGBA2BGRA if clear else cv2.COLOR_RGB2BGR).astype(np.uint8, copy=False)


def _to_srgb(image: NDArray[np.uint8], data: bytes, name: str, kind: str) -> NDArray[np.uint8]:
    """The colours in sRGB, where the file carries another profile."""
    if kind not in ("heif", "avif", "tiff") and not any(mark in data for mark in _PROFILE_MARKS):
        return image
    from PIL import Image, ImageCms

    try:
        with open_by_pillow(data, kind) as opened:
            profile = opened.info.get("icc_profile")
            ink = opened.convert("CMYK") if opened.mode == "CMYK" and profile else None
        if not profile:
            return image
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        words = ImageCms.getProfileDescription(source).strip() or "its own"
        if "srgb" in words.lower():
            return image
        if ink is not None:
            pixels = ink
        elif image.ndim == 2:
            pixels = Image.fromarray(image)
        else:
            pixels = Image.fromarray(np.ascontiguousarray(image[:, :, 2::-1]))
        made = ImageCms.profileToProfile(
            pixels, source, ImageCms.createProfile("sRGB"), renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB", flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )  # fmt: skip
        converted = np.ascontiguousarray(np.asarray(made)[:, :, ::-1])
    except (ImageCms.PyCMSError, OSError, ValueError, SyntaxError) as error:
        _say(f"{name}: its colour profile cannot be used ({error}); taken for sRGB", f"unusable {error}")
        return image
    _say(f"{name}: colour profile {words!r}: converted to sRGB", words)
    if image.ndim == 3 and image.shape[2] == 4:
        return np.dstack([converted, image[:, :, 3]])
    if image.ndim == 2 and (converted[:, :, 0] == converted[:, :, 1]).all():
        return np.ascontiguousarray(converted[:, :, 1])
    return converted


def _say(words: str, once: str) -> None:
    if once not in _said:
        _said.add(once)
        note(_log, "%s", words)


def _refuse_truncated(data: bytes, name: str) -> None:
    """OpenCV fills the missing part of a truncated JPEG or PNG with grey and says nothing: say it here."""
    jpeg_cut = data[:2] == b"\xff\xd8" and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")
    png_cut = data[:8] == b"\x89PNG\r\n\x1a\n" and b"IEND" not in data[-64:] and b"IEND" not in data
    if jpeg_cut or png_cut:
        raise SourceError(f"{name} is cut short ({len(data)} bytes)", "copy or download it again")
