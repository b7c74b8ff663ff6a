/** Filters over small planes of numbers, row by row. */

/** Index of a plane's border, mirrored at the outermost pixel (OpenCV's BORDER_REFLECT_101). */
function mirrored(at: number, size: number): number {
  if (size === 1) return 0;
  if (at < 0) at = -at;
  return at >= size ? 2 * size - 2 - at : at;
}

/** Each pixel from its neighbours along one axis. `taps` is odd. */
function along(plane: Float32Array, width: number, height: number, taps: readonly number[], vertical: boolean): Float32Array {
  const result = new Float32Array(plane.length);
  const reach = taps.length >> 1;
  const size = vertical ? height : width;
  const stride = vertical ? width : 1;
  const lines = vertical ? width : height;
  const turn = vertical ? 1 : width;
  for (let line = 0; line < lines; line += 1) {
    const start = line * turn;
    for (let at = 0; at < size; at += 1) {
      let sum = 0;
      if (at >= reach && at < size - reach) {
        let i = start + (at - reach) * stride;
        for (let tap = 0; tap < taps.length; tap += 1, i += stride) sum += taps[tap] * plane[i];
      } else {
        for (let tap = 0; tap < taps.length; tap += 1) sum += taps[tap] * plane[start + mirrored(at + tap - reach, size) * stride];
      }
      result[start + at * stride] = sum;
    }
  }
  return result;
}

/** A plane filtered in both directions with the same weights. */
export function filter(plane: Float32Array, width: number, height: number, taps: readonly number[]): Float32Array {
  return along(along(plane, width, height, taps, false), width, height, taps, true);
}

/** The largest value within `reach` pixels in both directions. */
export function dilate(plane: Float32Array, width: number, height: number, reach: number): Float32Array {
  const rows = new Float32Array(plane.length);
  const result = new Float32Array(plane.length);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      let most = -Infinity;
      for (let i = Math.max(x - reach, 0); i <= Math.min(x + reach, width - 1); i += 1) most = Math.max(most, plane[y * width + i]);
      rows[y * width + x] = most;
    }
  }
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      let most = -Infinity;
      for (let j = Math.max(y - reach, 0); j <= Math.min(y + reach, height - 1); j += 1) most = Math.max(most, rows[j * width + x]);
      result[y * width + x] = most;
    }
  }
  return result;
}

const EDGE = Math.exp(-0.5 / 0.8 ** 2);
/** A Gaussian of 0.8 pixels over three. */
export const SOFT = [EDGE / (1 + 2 * EDGE), 1 / (1 + 2 * EDGE), EDGE / (1 + 2 * EDGE)];
/** The mean of five pixels. */
export const FIVE = [0.2, 0.2, 0.2, 0.2, 0.2];
