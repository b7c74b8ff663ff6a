/**
 * The contract between the network and what runs it, as edge_harmony/contract.py has it: names, sizes, ranges. The network
 * looks at a view of the composite, 256 x 256 RGB 0..1 with its mask, and gives a 32 x 32 grid of 3 x 4 affine maps on
 * RGB 0..1, absolute, channel after channel.
 */
export const CONTRACT_VERSION = 2;
export const WORKING_SIZE = 256;
export const READ_SIZE = 512;
export const GRID_SIZE = 32;
export const TRANSFORM_CHANNELS = 12;
export const MIN_FRAME_SIZE = 64;
export const COMPOSITE = "composite";
export const MASK = "mask";
export const TRANSFORM = "transform";

/** Cells of the grid. */
export const CELLS = GRID_SIZE * GRID_SIZE;
/** Numbers of a transform: float32 (12, 32, 32). */
export const TRANSFORM_LENGTH = TRANSFORM_CHANNELS * CELLS;

/** The transform that changes nothing. */
export function identity(): Float32Array {
  const transform = new Float32Array(TRANSFORM_LENGTH);
  for (const channel of [0, 5, 10]) transform.fill(1, channel * CELLS, (channel + 1) * CELLS);
  return transform;
}

/** A working view in bytes, RGBA with the mask as A, as the network's two inputs. */
export function packView(view: Uint8Array): { composite: Float32Array; mask: Float32Array } {
  const pixels = WORKING_SIZE * WORKING_SIZE;
  const composite = new Float32Array(3 * pixels);
  const mask = new Float32Array(pixels);
  for (let i = 0; i < pixels; i += 1) {
    composite[i] = view[4 * i] / 255;
    composite[pixels + i] = view[4 * i + 1] / 255;
    composite[2 * pixels + i] = view[4 * i + 2] / 255;
    mask[i] = view[4 * i + 3] / 255;
  }
  return { composite, mask };
}
