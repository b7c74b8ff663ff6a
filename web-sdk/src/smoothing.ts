import { CELLS, GRID_SIZE, TRANSFORM_CHANNELS, TRANSFORM_LENGTH } from "./contract.js";

/** Seconds: the frame that `smoothing` is counted in. */
export const FRAME_S = 1 / 30;
const QUICKER = 1.75;
const LONGEST_S = 10;
const LEAST_COVER = 1e-3;
const LEAST_MOVE = 1.05;
const DEAD_BAND = 2; // code values

/**
 * Follows the network's transform slowly, and not at all while the change could not be seen: two running averages in a
 * row and a dead-band, cell by cell, as `TransformSmoother` of edge_harmony/compose/smoothing.py has them.
 */
export class TransformSmoother {
  #first: Float32Array | null = null;
  #second: Float32Array | null = null;
  #applied: Float32Array | null = null;
  #covered: Float32Array | null = null;

  constructor(public smoothing: number) {}

  /** Forget the past: the next transform is taken as it is. */
  reset(): void {
    this.#first = this.#second = this.#applied = this.#covered = null;
  }

  /**
   * Take the network's transform of the next frame and return the one to apply; while nothing moves it is the very array
   * that was returned before. `cellMask` is the subject's share of each cell, 0..1.
   */
  update(transform: Float32Array, cellMask: Float32Array, cut: boolean, elapsedS: number): Float32Array {
    const covered = spread(cellMask);
    const before = this.#covered;
    this.#covered = covered;
    const { smoothing } = this;
    if (cut || smoothing === 0 || !this.#first || !this.#second || !this.#applied || !before) {
      this.#first = transform.slice();
      this.#second = transform.slice();
      this.#applied = transform.slice();
      return this.#applied;
    }
    const first = this.#first;
    const second = this.#second;
    const frames = Math.min(Math.max(elapsedS, 0), LONGEST_S) / FRAME_S;
    const step = 1 - Math.exp(QUICKER * Math.log(smoothing) * frames);
    const away = new Float32Array(TRANSFORM_LENGTH);
    for (let cell = 0; cell < CELLS; cell += 1) {
      // Where the subject was not on the last frame, its average was a guess for something invisible.
      const entered = Math.max(covered[cell] - before[cell], 0) / Math.max(covered[cell], LEAST_COVER);
      for (let channel = 0; channel < TRANSFORM_CHANNELS; channel += 1) {
        const i = channel * CELLS + cell;
        first[i] += entered * (transform[i] - first[i]);
        second[i] += entered * (transform[i] - second[i]);
        first[i] += step * (transform[i] - first[i]);
        second[i] += step * (first[i] - second[i]);
        away[i] = second[i] - this.#applied[i];
      }
    }
    let next: Float32Array | null = null;
    for (let cell = 0; cell < CELLS; cell += 1) {
      const visible = largestChange(away, cell) * covered[cell];
      if (visible <= LEAST_MOVE * DEAD_BAND) continue;
      next ??= this.#applied.slice();
      const moves = 1 - DEAD_BAND / visible;
      for (let i = cell; i < TRANSFORM_LENGTH; i += CELLS) next[i] += moves * away[i];
    }
    if (next) this.#applied = next;
    return this.#applied;
  }
}

/** By how many code values the colour that is affected most would change in a cell. */
function largestChange(difference: Float32Array, cell: number): number {
  let largest = 0;
  for (let row = 0; row < 3; row += 1) {
    const start = 4 * row * CELLS + cell;
    let most = difference[start + 3 * CELLS];
    let least = most;
    for (let column = 0; column < 3; column += 1) {
      const value = difference[start + column * CELLS];
      if (value > 0) most += value;
      else least += value;
    }
    largest = Math.max(largest, most, -least);
  }
  return 255 * largest;
}

/** The share of each cell, grown by a cell in every direction: a pixel is coloured by the cells around it. */
function spread(cellMask: Float32Array): Float32Array {
  const grown = new Float32Array(CELLS);
  for (let y = 0; y < GRID_SIZE; y += 1) {
    for (let x = 0; x < GRID_SIZE; x += 1) {
      let most = 0;
      for (let j = Math.max(y - 1, 0); j <= Math.min(y + 1, GRID_SIZE - 1); j += 1) {
        for (let i = Math.max(x - 1, 0); i <= Math.min(x + 1, GRID_SIZE - 1); i += 1) {
          most = Math.max(most, cellMask[j * GRID_SIZE + i]);
        }
      }
      grown[y * GRID_SIZE + x] = most;
    }
  }
  return grown;
}
