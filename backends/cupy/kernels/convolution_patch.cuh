// Tiles of the output of a convolution with few channels, and the patch of the input that a tile meets.
#pragma once
#include <convolution_special.cuh>

struct Tiling {
    int rows, columns;              // of a tile
    int down, across;               // tiles of an image
    int patch_rows, patch_columns;  // for each of the depths that the taps meet
};

DEVICE Tiling tiling(const Axis& h, const Axis& w, int rows, int columns) {
    return {rows,
            columns,
            (h.out + rows - 1) / rows,
            (w.out + columns - 1) / columns,
            (rows - 1) * h.step + (h.taps - 1) * h.dilation + 1,
            (columns - 1) * w.step + (w.taps - 1) * w.dilation + 1};
}

// The first place of a tile.
struct Corner {
    int image, depth, row, column;
};

DEVICE Corner corner(int tile, const Axis& d, const Tiling& tiles) {
    const int plane = tile / tiles.across / tiles.down;
    return {plane / d.out, plane % d.out, tile / tiles.across % tiles.down * tiles.rows,
            tile % tiles.across * tiles.columns};
}

// Call write(pixel, from) for every pixel of the patch, with the address of its channels, or null beside the image.
template <class T, class F>
DEVICE void fill_patch(const T* x, const Corner& at, const Axis& d, const Axis& h, const Axis& w, const Tiling& tiles,
                       int channels, F write) {
    const int pixels = d.taps * tiles.patch_rows * tiles.patch_columns;
    for (int pixel = threadIdx.x; pixel < pixels; pixel += blockDim.x) {
        const int line = pixel / tiles.patch_columns;
        const int depth = at.depth * d.step + d.shift + line / tiles.patch_rows * d.dilation;
        const int row = at.row * h.step + h.shift + line % tiles.patch_rows;
        const int column = at.column * w.step + w.shift + pixel % tiles.patch_columns;
        const bool inside = (u32)depth < (u32)d.in && (u32)row < (u32)h.in && (u32)column < (u32)w.in;
        const i64 place = (i64)((at.image * d.in + depth) * h.in + row) * w.in + column;
        write(pixel, inside ? x + place * channels : (const T*)nullptr);
    }
}

// The pixel of the patch that the first tap of a place meets, and how far the others are from there.
DEVICE int first_pixel(int place, const Axis& h, const Axis& w, const Tiling& tiles) {
    return place / tiles.columns * h.step * tiles.patch_columns + place % tiles.columns * w.step;
}
DEVICE int pixels_to(int tap, const Axis& h, const Axis& w, const Tiling& tiles) {
    const int row = tap / w.taps / h.taps * tiles.patch_rows + tap / w.taps % h.taps * h.dilation;
    return row * tiles.patch_columns + tap % w.taps * w.dilation;
}
