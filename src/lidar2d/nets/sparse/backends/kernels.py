"""The Triton kernels of :mod:`~lidar2d.nets.sparse.backends.fused`; arguments are pointers, sizes and strides.

Triton's own small functions (cdiv, zeros, max) are left out: they tie its interpreter to the order of imports.
"""

import triton
import triton.language as tl


@triton.jit
def product(
    features, kernel, order, source, reads, out,
    count, places, channels, out_channels, by_place, by_row, by_column,
    ROWS: tl.constexpr, DEPTH: tl.constexpr, WIDTH: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    total = tl.full((ROWS, WIDTH), 0.0, tl.float32)
    sources = source + row
    for place in range(places):
        if tl.load(reads + tl.program_id(0) * places + place):
            read = tl.load(sources, mask=row < count, other=-1)
            for start in range(0, channels, DEPTH):
                inner = start + tl.arange(0, DEPTH)
                left = tl.load(
                    features + read[:, None].to(tl.int64) * channels + inner[None, :],
                    mask=(read[:, None] >= 0) & (inner[None, :] < channels),
                    other=0.0,
                )
                right = tl.load(
                    kernel + place * by_place + inner[:, None] * by_row + column[None, :] * by_column,
                    mask=(inner[:, None] < channels) & (column[None, :] < out_channels),
                    other=0.0,
                )
                total = tl.dot(left, right, total, input_precision=PRECISION)
        sources += count  # rather than place * count, which may pass 2^31
    target = tl.load(order + row, mask=row < count, other=0)
    tl.store(
        out + target[:, None].to(tl.int64) * out_channels + column[None, :],
        total.to(out.dtype.element_ty),
        mask=(row[:, None] < count) & (column[None, :] < out_channels),
    )


@triton.jit
def to_kernel(
    features, gradient, source, target, starts, partial,
    places, channels, out_channels, columns,
    ROWS: tl.constexpr, DEPTH: tl.constexpr, WIDTH: tl.constexpr, PAIRS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    place = tl.program_id(0)
    inner = tl.program_id(1) // columns * DEPTH + tl.arange(0, DEPTH)
    column = tl.program_id(1) % columns * WIDTH + tl.arange(0, WIDTH)
    begin = tl.load(starts + place) + tl.program_id(2) * PAIRS
    end = tl.minimum(tl.load(starts + place + 1), begin + PAIRS)
    total = tl.full((DEPTH, WIDTH), 0.0, tl.float32)
    for start in range(begin, end, ROWS):
        pair = start + tl.arange(0, ROWS)
        read = tl.load(source + pair, mask=pair < end, other=0)
        write = tl.load(target + pair, mask=pair < end, other=0)
        left = tl.load(
            features + read[None, :] * channels + inner[:, None],
            mask=(pair[None, :] < end) & (inner[:, None] < channels),
            other=0.0,
        )
        right = tl.load(
            gradient + write[:, None] * out_channels + column[None, :],
            mask=(pair[:, None] < end) & (column[None, :] < out_channels),
            other=0.0,
        )
        total = tl.dot(left, right, total, input_precision=PRECISION)
    part = (tl.program_id(2) * places + place).to(tl.int64) * channels
    tl.store(
        partial + (part + inner[:, None]) * out_channels + column[None, :],
        total,
        mask=(inner[:, None] < channels) & (column[None, :] < out_channels),
    )
