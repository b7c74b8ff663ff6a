"""Between BGR and the planes of YUV 4:2:0, compiled: what a decoder gives and an encoder takes.

FFmpeg's own conversion takes four times as long where it is to be exact. Here 32 pixels at a time are written as
vector instructions of LLVM's own language, with 16 bits for each number: see ``edge_harmony.harmonize.kernel``.

Chroma is interpolated linearly, as FFmpeg does. Sums are kept in 32nds of a code value, so a result is off by the
rounding to 8 bits and at most 0.1 more.
"""

# An intrinsic's first parameter is numba's own and not passed by its caller.
# pyright: reportCallIssue=false

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import int64, types
from numba.extending import intrinsic

from edge_harmony.compiled import compile_pass
from edge_harmony.pixel_blocks import BLOCK, PIXEL_BYTES, lanes, move, store_pixels

SCRATCH_BYTES = 64  # that a row of scratch needs beyond what it holds

_BYTE, _SHORT, _INT, _LONG = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64)
_BYTES, _SHORTS, _INTS = (ir.VectorType(kind, BLOCK) for kind in (_BYTE, _SHORT, _INT))
_UNIT = 5  # bits behind the point of a sum


def _fill(value: int) -> ir.Constant:
    return ir.Constant(_SHORTS, [value] * BLOCK)


def _spread(builder: Any, scalar: Any) -> Any:
    """A vector with the low 16 bits of an int64 in every lane."""
    nothing = ir.Constant(_SHORTS, ir.Undefined)
    one = builder.insert_element(nothing, builder.trunc(scalar, _SHORT), ir.Constant(_INT, 0))
    return builder.shuffle_vector(one, nothing, lanes([0] * BLOCK))


def _load(builder: Any, address: Any, offset: int = 0) -> Any:
    """Sixteen bytes as shorts."""
    pointer = builder.inttoptr(builder.add(address, ir.Constant(_LONG, offset)), ir.PointerType(_BYTES))
    value = builder.load(pointer)
    value.align = 1
    return builder.zext(value, _SHORTS)


def _upper_half(builder: Any, first: Any, second: Any, signed: bool) -> Any:
    """The upper 16 of the 32 bits of each product."""
    widen = builder.sext if signed else builder.zext
    product = builder.mul(widen(first, _INTS), widen(second, _INTS))
    return builder.trunc(builder.ashr(product, ir.Constant(_INTS, [16] * BLOCK)), _SHORTS)


def _to_bytes(builder: Any, value: Any, bits: int) -> Any:
    """Drop ``bits`` and clamp to 0..255; the half that rounds is in the value."""
    value = builder.ashr(value, _fill(bits))
    low, high = _fill(0), _fill(255)
    value = builder.select(builder.icmp_signed(">", value, low), value, low)
    value = builder.select(builder.icmp_signed("<", value, high), value, high)
    return builder.trunc(value, _BYTES)


def _read_chroma(builder: Any, near: Any, far: Any, even_share: Any, odd_share: Any) -> list[Any]:
    """The chroma of 32 pixels of a row, as two vectors: 256 times its difference from 128.

    ``near`` and ``far`` are addresses of the first of 16 samples in the rows of chroma that lie a quarter and three
    quarters of their distance away; one sample to the left and one to the right are looked at too.
    """
    left, here, right = (
        builder.add(builder.mul(_load(builder, near, shift), _fill(3)), _load(builder, far, shift))
        for shift in (-1, 0, 1)
    )
    columns = []
    for beside, share in ((left, even_share), (right, odd_share)):
        mixed = builder.add(builder.shl(here, _fill(2)), builder.mul(builder.sub(beside, here), share))
        columns.append(builder.shl(builder.sub(mixed, _fill(2048)), _fill(4)))
    even, odd = columns
    return [
        builder.shuffle_vector(even, odd, lanes([lane for i in half for lane in (i, BLOCK + i)]))
        for half in (range(BLOCK // 2), range(BLOCK // 2, BLOCK))
    ]


@intrinsic
def _to_bgr(  # type: ignore[no-untyped-def]
    typing_context, luma, near_u, far_u, near_v, far_v, target,
    gain, offset, u_blue, u_green, v_green, v_red, even_share, odd_share,
):  # fmt: skip
    """Convert 32 pixels of a row, see ``read_rows``; the first six are addresses."""
    del typing_context, luma, near_u, far_u, near_v, far_v, target
    del gain, offset, u_blue, u_green, v_green, v_red, even_share, odd_share

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        luma, near_u, far_u, near_v, far_v, target = arguments[:6]
        gain, offset, u_blue, u_green, v_green, v_red, *shares = (_spread(builder, a) for a in arguments[6:])
        all_u = _read_chroma(builder, near_u, far_u, *shares)
        all_v = _read_chroma(builder, near_v, far_v, *shares)
        for half, (u, v) in enumerate(zip(all_u, all_v, strict=True)):
            grey = builder.shl(_load(builder, luma, BLOCK * half), _fill(8))
            grey = builder.add(_upper_half(builder, grey, gain, signed=False), offset)
            blue = builder.add(grey, _upper_half(builder, u, u_blue, signed=True))
            red = builder.add(grey, _upper_half(builder, v, v_red, signed=True))
            green = builder.add(grey, _upper_half(builder, u, u_green, signed=True))
            green = builder.add(green, _upper_half(builder, v, v_green, signed=True))
            planes = [_to_bytes(builder, value, _UNIT) for value in (blue, green, red)]
            store_pixels(builder, builder.add(target, ir.Constant(_LONG, PIXEL_BYTES * BLOCK * half)), planes)
        return context.get_dummy_value()

    return types.void(*[int64] * 14), generate


def _read_rows(  # type: ignore[no-untyped-def]
    height, width, luma, luma_step, u, v, chroma_step, out, out_step, scratch,
    gain, offset, u_blue, u_green, v_green, v_red, even_share, odd_share,
):  # fmt: skip
    samples, rows = width // 2, height // 2
    room = samples + 2
    for row in range(height):
        near = row // 2
        far = min(max(near + 2 * (row % 2) - 1, 0), rows - 1)
        at = scratch + 1
        for plane in (u, v):  # with the outer samples repeated, so that each has neighbours
            for source in (plane + near * chroma_step, plane + far * chroma_step):
                move(at - 1, source, 1)
                move(at, source, samples)
                move(at + samples, source + samples - 1, 1)
                at += room
        here, target = luma + row * luma_step, out + row * out_step
        column = 0
        while column < width:
            column = min(column, width - 2 * BLOCK)
            at = scratch + 1 + column // 2
            _to_bgr(
                here + column, at, at + room, at + 2 * room, at + 3 * room, target + 3 * column,
                gain, offset, u_blue, u_green, v_green, v_red, even_share, odd_share,
            )  # fmt: skip
            column += 2 * BLOCK


read_rows = compile_pass(_read_rows, types.void(*[int64] * 18))
"""Write a frame's BGR from its planes.

Args, all int64; ``*_step`` is the number of bytes from one row to the next:
    height, width: even; at least 2 and 32.
    luma, u, v: addresses of the planes. out: address of the uint8 BGR frame to write.
    scratch: address of ``2 * width + SCRATCH_BYTES`` bytes for this call alone.
    gain: what luma counts, times 8192. offset: what is added to it, times 32, the half that rounds included.
    u_blue, u_green, v_green, v_red: what the chroma counts, times 8192.
    even_share, odd_share: what, in quarters, the sample to the left counts for a pixel of an even column, and the one
        to the right for one of an odd column: 0 and 2 where samples lie on even columns, 1 and 1 where in between.
"""


def _load_pixels(builder: Any, address: Any, offset: int) -> list[Any]:
    """Sixteen BGR pixels as three vectors of shorts."""
    kind = ir.VectorType(_BYTE, 3 * BLOCK)
    where = builder.add(address, ir.Constant(_LONG, offset))
    pixels = builder.load(builder.inttoptr(where, ir.PointerType(kind)))
    pixels.align = 1
    nothing = ir.Constant(kind, ir.Undefined)
    orders = ([3 * i + channel for i in range(BLOCK)] for channel in range(3))
    return [builder.zext(builder.shuffle_vector(pixels, nothing, lanes(order)), _SHORTS) for order in orders]


def _weigh(builder: Any, planes: list[Any], weights: list[Any], signed: bool) -> Any:
    """The upper halves of the products, added."""
    blue, green, red = (_upper_half(builder, p, w, signed) for p, w in zip(planes, weights, strict=True))
    return builder.add(builder.add(blue, green), red)


def _put(builder: Any, address: Any, offset: int, value: Any) -> None:
    where = builder.add(address, ir.Constant(_LONG, offset))
    builder.store(value, builder.inttoptr(where, ir.PointerType(value.type))).align = 1


@intrinsic
def _to_planes(  # type: ignore[no-untyped-def]
    typing_context, upper, lower, luma, luma_below, wide_u, wide_v, black,
    y_blue, y_green, y_red, u_blue, u_green, u_red, v_blue, v_green, v_red,
):  # fmt: skip
    """Of 16 pixels in two rows the luma, and the chroma of each column as shorts; the first six are addresses."""
    del typing_context, upper, lower, luma, luma_below, wide_u, wide_v, black
    del y_blue, y_green, y_red, u_blue, u_green, u_red, v_blue, v_green, v_red

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        upper, lower, luma, luma_below, wide_u, wide_v = arguments[:6]
        black, *weights = (_spread(builder, a) for a in arguments[6:])
        rows = [_load_pixels(builder, address, 0) for address in (upper, lower)]
        for planes, target in zip(rows, (luma, luma_below), strict=True):
            shifted = [builder.shl(plane, _fill(8)) for plane in planes]
            value = builder.add(_weigh(builder, shifted, weights[:3], signed=False), black)
            _put(builder, target, 0, _to_bytes(builder, value, 7))
        both = [builder.shl(builder.add(a, b), _fill(6)) for a, b in zip(*rows, strict=True)]
        _put(builder, wide_u, 0, _weigh(builder, both, weights[3:6], signed=True))
        _put(builder, wide_v, 0, _weigh(builder, both, weights[6:], signed=True))
        return context.get_dummy_value()

    return types.void(*[int64] * 16), generate


@intrinsic
def _narrow(typing_context, wide, target):  # type: ignore[no-untyped-def]
    """Sixteen chroma samples from 32 columns: a quarter, a half and a quarter of three; ``wide`` is the first one's."""
    del typing_context, wide, target

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        wide, target = arguments
        kind = ir.VectorType(_SHORT, 2 * BLOCK)
        nothing = ir.Constant(kind, ir.Undefined)
        parts = []
        for offset, first in ((-2, 0), (0, 0), (0, 1)):  # bytes and lane
            where = builder.add(wide, ir.Constant(_LONG, offset))
            columns = builder.load(builder.inttoptr(where, ir.PointerType(kind)))
            columns.align = 1
            parts.append(builder.shuffle_vector(columns, nothing, lanes(list(range(first, 2 * BLOCK, 2)))))
        before, here, after = parts
        total = builder.add(builder.add(before, after), builder.shl(here, _fill(1)))
        total = builder.ashr(builder.add(total, _fill(128 + 6)), _fill(8))  # a half, and what the products cut off
        _put(builder, target, 0, _to_bytes(builder, builder.add(total, _fill(128)), 0))
        return context.get_dummy_value()

    return types.void(int64, int64), generate


@intrinsic
def _repeat_first(typing_context, wide):  # type: ignore[no-untyped-def]
    """Copy a short to the place before it."""
    del typing_context, wide

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        value = builder.load(builder.inttoptr(arguments[0], ir.PointerType(_SHORT)))
        value.align = 1
        _put(builder, arguments[0], -2, value)
        return context.get_dummy_value()

    return types.void(int64), generate


def _write_rows(  # type: ignore[no-untyped-def]
    height, width, image, image_step, luma, luma_step, u, v, chroma_step, scratch, black,
    y_blue, y_green, y_red, u_blue, u_green, u_red, v_blue, v_green, v_red,
):  # fmt: skip
    wide_u = scratch + 2
    wide_v = wide_u + 2 * width + 2
    for row in range(height // 2):
        upper, here = image + 2 * row * image_step, luma + 2 * row * luma_step
        column = 0
        while column < width:
            column = min(column, width - BLOCK)
            pixel = upper + 3 * column
            _to_planes(
                pixel, pixel + image_step, here + column, here + luma_step + column,
                wide_u + 2 * column, wide_v + 2 * column, black,
                y_blue, y_green, y_red, u_blue, u_green, u_red, v_blue, v_green, v_red,
            )  # fmt: skip
            column += BLOCK
        _repeat_first(wide_u)
        _repeat_first(wide_v)
        sample = 0
        while sample < width // 2:
            sample = min(sample, width // 2 - BLOCK)
            _narrow(wide_u + 4 * sample, u + row * chroma_step + sample)
            _narrow(wide_v + 4 * sample, v + row * chroma_step + sample)
            sample += BLOCK


write_rows = compile_pass(_write_rows, types.void(*[int64] * 20))
"""Write a frame's planes from its BGR; chroma lies on even columns, between rows, where H.264 has it by default.

Args, all int64; ``*_step`` is the number of bytes from one row to the next:
    height, width: even; at least 2 and 32.
    image: address of the uint8 BGR frame, the pixels of a row side by side. luma, u, v: addresses of the planes.
    scratch: address of ``4 * width + SCRATCH_BYTES`` bytes for this call alone.
    black: what is added to luma, times 128, the half that rounds included.
    y_blue .. v_red: what blue, green and red count in luma, u and v, times 32768.
"""
