"""The one full-resolution pass: interpolate the transform, apply it, clamp, composite, in bytes.

Sixteen pixels at a time are written as vector instructions of LLVM's own
language (``blend_block``), because its loop vectorizer manages the three-byte pixels of BGR half as fast; LLVM
turns the same text into AVX-512, AVX2 or NEON. No thread of numba's is used: its work queue aborts the process
when two Python threads enter it at once. The kernel lets go of the interpreter lock, and
``edge_harmony.harmonize.bands`` splits a frame's rows between threads of our own.

Compiling takes a second or two, once per machine (see ``edge_harmony.compiled``).
"""

# An intrinsic's first parameter is numba's own and not passed by its caller.
# pyright: reportCallIssue=false

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import float32, int64, types, uint8
from numba.extending import intrinsic

from edge_harmony.compiled import compile_pass
from edge_harmony.contract import TRANSFORM_CHANNELS
from edge_harmony.pixel_blocks import BLOCK, PIXEL_BYTES, PIXELS, lanes, move, store_pixels

SCRATCH_PIXELS = 6 * BLOCK  # bytes of scratch, in pixels, that a row of any width needs beyond its width

_FLOAT, _BYTE, _INT, _LONG = ir.FloatType(), ir.IntType(8), ir.IntType(32), ir.IntType(64)
_FLOATS, _BYTES, _INTS = (ir.VectorType(kind, BLOCK) for kind in (_FLOAT, _BYTE, _INT))
_CONTRACT = ("contract",)  # a multiplication and an addition may be rounded once: never less exact


def _fill(value: float) -> ir.Constant:
    return ir.Constant(_FLOATS, [value] * BLOCK)


def _load(builder: Any, address: Any, kind: Any, align: int = 1) -> Any:
    value = builder.load(builder.inttoptr(address, ir.PointerType(kind)))
    value.align = align
    return value


def _spread(builder: Any, scalar: Any) -> Any:
    """A vector that holds the same float in every lane."""
    one = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), scalar, ir.Constant(_INT, 0))
    return builder.shuffle_vector(one, ir.Constant(_FLOATS, ir.Undefined), lanes([0] * BLOCK))


def _load_planes(builder: Any, address: Any) -> list[Any]:
    """Sixteen BGR pixels as three vectors of floats 0..255."""
    pixels = _load(builder, address, PIXELS)
    nothing = ir.Constant(PIXELS, ir.Undefined)
    planes = []
    for channel in range(PIXEL_BYTES):
        places = lanes([PIXEL_BYTES * i + channel for i in range(BLOCK)])
        planes.append(builder.uitofp(builder.shuffle_vector(pixels, nothing, places), _FLOATS))
    return planes


def _apply(builder: Any, planes: list[Any], node: Any, slope: Any, along: Any) -> list[Any]:
    """``clamp((A + along * S) @ (b, g, r, 1))``: A at ``node``, S at ``slope``, both 3 x 4 floats, row-major."""
    results = []
    for row in range(PIXEL_BYTES):
        terms = []
        for column in range(PIXEL_BYTES + 1):
            offset = ir.Constant(_LONG, 4 * (row * (PIXEL_BYTES + 1) + column))
            start, step = (
                _spread(builder, _load(builder, builder.add(base, offset), _FLOAT, 4)) for base in (node, slope)
            )
            terms.append(builder.fadd(start, builder.fmul(along, step, _CONTRACT), _CONTRACT))
        value = terms[PIXEL_BYTES]
        for term, plane in zip(terms, planes, strict=False):
            value = builder.fadd(value, builder.fmul(term, plane, _CONTRACT), _CONTRACT)
        low, high = _fill(0.0), _fill(255.0)
        value = builder.select(builder.fcmp_ordered(">", value, low), value, low)
        results.append(builder.select(builder.fcmp_ordered("<", value, high), value, high))
    return results


@intrinsic
def blend_block(typing_context, source, cover, under, target, node, slope, along, step):  # type: ignore[no-untyped-def]
    """Harmonize and composite sixteen pixels.

    Addresses (int64): ``source`` 48 bytes of foreground BGR, ``cover`` 16 bytes of alpha, ``under`` 48 bytes of
    background BGR, ``target`` 48 bytes to write, ``node`` and ``slope`` 12 floats each. The map of pixel i is
    ``node + (along + i * step) * slope``. Everything is read before anything is written.
    """
    del typing_context, source, cover, under, target, node, slope, along, step
    signature = types.void(int64, int64, int64, int64, int64, int64, float32, float32)

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, cover, under, target, node, slope, along, step = arguments
        foreground = _load_planes(builder, source)
        background = _load_planes(builder, under)
        bytes_of_cover = builder.uitofp(_load(builder, cover, _BYTES), _FLOATS)
        weight = builder.fmul(bytes_of_cover, _fill(1.0 / 255.0))
        ramp = ir.Constant(_FLOATS, [float(i) for i in range(BLOCK)])
        position = builder.fmul(ramp, _spread(builder, step), _CONTRACT)
        position = builder.fadd(position, _spread(builder, along), _CONTRACT)
        results = []
        for value, behind in zip(_apply(builder, foreground, node, slope, position), background, strict=True):
            change = builder.fmul(builder.fsub(value, behind), weight, _CONTRACT)
            value = builder.fadd(builder.fadd(behind, _fill(0.5)), change, _CONTRACT)
            results.append(builder.trunc(builder.fptosi(value, _INTS), _BYTES))
        store_pixels(builder, target, results)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def is_clear(typing_context, cover):  # type: ignore[no-untyped-def]
    """Whether the 16 bytes at an address are all zero."""
    del typing_context, cover

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(8 * BLOCK)
        value = _load(builder, arguments[0], wide)
        return builder.icmp_unsigned("==", value, ir.Constant(wide, 0))

    return types.boolean(int64), generate


@intrinsic
def peek(typing_context, address):  # type: ignore[no-untyped-def]
    """The byte at an address."""
    del typing_context, address

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return _load(builder, arguments[0], _BYTE)

    return uint8(int64), generate


@intrinsic
def poke(typing_context, address, value):  # type: ignore[no-untyped-def]
    """Write a byte to an address."""
    del typing_context, address, value

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        address, value = arguments
        builder.store(value, builder.inttoptr(address, ir.PointerType(_BYTE)))
        return context.get_dummy_value()

    return types.void(int64, uint8), generate


def _copy_rows(  # type: ignore[no-untyped-def]
    first_row, last_row, width, channels, source, row_step, pixel_step, channel_step,
    target, target_row_step, target_pixel_step, target_channel_step,
):  # fmt: skip
    for row in range(first_row, last_row):
        here, there = source + row * row_step, target + row * target_row_step
        if channels == PIXEL_BYTES:
            for _ in range(width):
                poke(there, peek(here))
                poke(there + target_channel_step, peek(here + channel_step))
                poke(there + 2 * target_channel_step, peek(here + 2 * channel_step))
                here += pixel_step
                there += target_pixel_step
        else:
            for _ in range(width):
                poke(there, peek(here))
                here += pixel_step
                there += target_pixel_step


copy_rows = compile_pass(_copy_rows, types.void(*[int64] * 12))
"""Copy rows of pixels from any layout to any other (NumPy takes ten times as long).

Args, all int64: the rows ``first_row <= row < last_row``, their width in pixels, 3 or 1 channels; then of the source
and of the target the address of the first pixel, and the bytes from row to row, pixel to pixel, channel to channel.
"""


def _interpolate_nodes(grid, row, height, nodes, slopes):  # type: ignore[no-untyped-def]
    """The grid's nodes as a frame's row sees them, and the difference from each node to the next."""
    cells, count = grid.shape
    position = (row + 0.5) * cells / height - 0.5
    position = min(max(position, 0.0), float(cells - 1))
    upper = min(int(position), cells - 2)
    share = float32(position - upper)
    first, second = grid[upper], grid[upper + 1]
    inner = nodes[TRANSFORM_CHANNELS : TRANSFORM_CHANNELS + count]
    for i in range(count):
        inner[i] = first[i] + share * (second[i] - first[i])
    for i in range(TRANSFORM_CHANNELS):  # beyond the outer nodes the map is constant
        nodes[i] = inner[i]
        nodes[TRANSFORM_CHANNELS + count + i] = inner[count - TRANSFORM_CHANNELS + i]
    for i in range(TRANSFORM_CHANNELS + count):
        slopes[i] = nodes[TRANSFORM_CHANNELS + i] - nodes[i]


_interpolate_nodes = compile_pass(_interpolate_nodes)


def _first_column(segment, cells, width):  # type: ignore[no-untyped-def]
    """The first pixel column of a segment; segment s lies between grid nodes s - 1 and s."""
    column = -((cells - (2 * segment - 1) * width) // (2 * cells))
    return min(max(column, 0), width)


_first_column = compile_pass(_first_column)


def _harmonize_rows(  # type: ignore[no-untyped-def]
    first_row, last_row, height, width, foreground, foreground_step, alpha, alpha_step,
    background, background_step, out, out_step, scratch, nodes_at, slopes_at, grid, nodes, slopes,
):  # fmt: skip
    tail = scratch + PIXEL_BYTES * (width + BLOCK)  # where blocks that would reach past a row's end are staged
    cells = grid.shape[0]
    share = cells / width  # of a cell, in a pixel
    step = float32(share)
    for row in range(first_row, last_row):
        source, cover = foreground + row * foreground_step, alpha + row * alpha_step
        under, target = background + row * background_step, out + row * out_step
        left, right = 0, width  # the columns from the first to the last that has any foreground
        while left + BLOCK <= right and is_clear(cover + left):
            left += BLOCK
        while left < right and peek(cover + left) == 0:
            left += 1
        while right - BLOCK >= left and is_clear(cover + right - BLOCK):
            right -= BLOCK
        while right > left and peek(cover + right - 1) == 0:
            right -= 1
        if target != under:
            move(target, under, PIXEL_BYTES * left)
            move(target + PIXEL_BYTES * right, under + PIXEL_BYTES * right, PIXEL_BYTES * (width - right))
        if left == right:
            continue
        _interpolate_nodes(grid, row, height, nodes, slopes)
        for segment in range(cells + 1):
            end = min(_first_column(segment + 1, cells, width) if segment < cells else width, right)
            start = max(_first_column(segment, cells, width), left)
            if start >= end:
                continue
            node = nodes_at + 4 * TRANSFORM_CHANNELS * segment
            slope = slopes_at + 4 * TRANSFORM_CHANNELS * segment
            origin = float32((start + 0.5) * share - 0.5 - (segment - 1))
            # The last block of a segment runs on into the next one, which then writes its own values there.
            for column in range(start, end, BLOCK):
                pixel = PIXEL_BYTES * column
                along = origin + float32(column - start) * step
                if column + BLOCK <= width:
                    if is_clear(cover + column):
                        move(scratch + pixel, under + pixel, PIXEL_BYTES * BLOCK)
                    else:
                        blend_block(
                            source + pixel, cover + column, under + pixel, scratch + pixel,
                            node, slope, along, step,
                        )  # fmt: skip
                else:
                    behind, opacity = tail + PIXEL_BYTES * BLOCK, tail + 2 * PIXEL_BYTES * BLOCK
                    move(tail, source + pixel, PIXEL_BYTES * (width - column))
                    move(behind, under + pixel, PIXEL_BYTES * (width - column))
                    move(opacity, cover + column, width - column)
                    blend_block(tail, opacity, behind, scratch + pixel, node, slope, along, step)
        move(target + PIXEL_BYTES * left, scratch + PIXEL_BYTES * left, PIXEL_BYTES * (right - left))


_FLAT, _GRID = float32[::1], float32[:, ::1]
harmonize_rows = compile_pass(_harmonize_rows, types.void(*[int64] * 15, _GRID, _FLAT, _FLAT))
"""Harmonize and composite the rows ``first_row <= row < last_row`` of a frame.

Args, all int64 up to the grid; ``*_step`` is the number of bytes from one row to the next:
    first_row, last_row: the band of rows to work on; height, width: the whole frame's.
    foreground, background: addresses of uint8 BGR frames whose pixels of a row lie side by side.
    alpha: address of a uint8 plane whose pixels of a row lie side by side.
    out: address of the uint8 BGR frame to write; may be the foreground's or the background's address.
    scratch: address of at least ``3 * (width + SCRATCH_PIXELS)`` bytes for this call alone.
    nodes_at, slopes_at: addresses of the two arrays ``nodes`` and ``slopes`` below.
    grid: float32 (N, N * 12), a square of N cells a side: rows of 3 x 4 maps, BGR 0..255 to BGR 0..255. N is read
        from the array, never compiled in: compiled code is kept between processes by this file's age alone.
    nodes, slopes: float32 ((N + 2) * 12,) for this call alone.
"""
