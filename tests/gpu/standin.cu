// Kernels that stand in for an engine where there is a GPU but no TensorRT: the same tensors in and out as the
// graphs of edge_harmony/contract.py, and a "network" so simple that NumPy computes the same (standin_reference.py).
// standin.ptx is made of this file by make_ptx.py; the emulated driver compiles this file for the CPU.

typedef unsigned char byte;

// The "network": each map keeps 70 % of the subject's colour and adds 30 % of the background's, cell by cell.
__device__ float predicted(int channel, float background) {
    int row = channel / 4, column = channel % 4;
    return (row == column ? 0.7f : 0.0f) + (column == 3 ? 0.3f * background : 0.0f);
}

// The transform graph. composite (3, 256, 256), mask (256, 256), transform (12, grid, grid).
extern "C" __global__ void standin_view(const float *composite, const float *mask, float *transform, int grid) {
    int i = blockIdx.x * blockDim.x + threadIdx.x, cells = grid * grid, step = 256 / grid;
    if (i >= 12 * cells) return;
    int channel = i / cells, y = i % cells / grid, x = i % grid;
    transform[i] = predicted(channel, composite[(channel / 4) * 65536 + y * step * 256 + x * step]);
}

// The frame graph's first half. background (h, w, 3) BGR; transforms (12, grid, grid). A previous of zeros is none.
extern "C" __global__ void standin_predict(const byte *background, int h, int w, const float *previous,
                                           const float *smoothing, float *transform, int grid) {
    int i = blockIdx.x * blockDim.x + threadIdx.x, cells = grid * grid;
    if (i >= 12 * cells) return;
    int channel = i / cells, y = i % cells / grid, x = i % grid;
    long pixel = (long)(y * h / grid) * w + x * w / grid;
    float fresh = predicted(channel, background[pixel * 3 + 2 - channel / 4] / 255.0f);
    bool is_first = true;
    for (int j = 0; j < 12 * cells && is_first; j++) is_first = previous[j] == 0.0f;
    transform[i] = is_first ? fresh : previous[i] + (1.0f - smoothing[0]) * (fresh - previous[i]);
}

// The frame graph's second half: the contract's application and compositing, one thread a pixel.
extern "C" __global__ void standin_apply(const byte *foreground, const byte *alpha, const byte *background, int h,
                                         int w, const float *transform, const float *strength, byte *harmonized,
                                         int grid) {
    long pixel = (long)blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= (long)h * w) return;
    int py = pixel / w, px = pixel % w;
    float gy = fminf(fmaxf((py + 0.5f) * grid / h - 0.5f, 0.0f), grid - 1.0f);
    float gx = fminf(fmaxf((px + 0.5f) * grid / w - 0.5f, 0.0f), grid - 1.0f);
    int y0 = (int)gy, x0 = (int)gx;
    int y1 = y0 + 1 < grid ? y0 + 1 : y0, x1 = x0 + 1 < grid ? x0 + 1 : x0;
    float fy = gy - y0, fx = gx - x0, s = strength[0];
    float colour[4] = {foreground[pixel * 3 + 2] / 255.0f, foreground[pixel * 3 + 1] / 255.0f,
                       foreground[pixel * 3] / 255.0f, 1.0f};
    int a = alpha[pixel];
    for (int row = 0; row < 3; row++) {
        float value = 0.0f;
        for (int column = 0; column < 4; column++) {
            const float *map = transform + (row * 4 + column) * grid * grid;
            float top = map[y0 * grid + x0] * (1.0f - fx) + map[y0 * grid + x1] * fx;
            float bottom = map[y1 * grid + x0] * (1.0f - fx) + map[y1 * grid + x1] * fx;
            float blended = s * (top * (1.0f - fy) + bottom * fy) + (1.0f - s) * (row == column ? 1.0f : 0.0f);
            value += blended * colour[column];
        }
        value = fminf(fmaxf(value * 255.0f, 0.0f), 255.0f);
        byte behind = background[pixel * 3 + 2 - row];
        harmonized[pixel * 3 + 2 - row] = (byte)((a * value + (255 - a) * behind) / 255.0f + 0.5f);
    }
}
