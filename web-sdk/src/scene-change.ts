import { CELLS, GRID_SIZE, WORKING_SIZE } from "./contract.js";

/** How a frame's scene differs from what came before it. */
export type Change = "still" | "moving" | "cut";

const STILL_THRESHOLD = 2; // code values that a pixel may be off in a still scene
const CUT_THRESHOLD = 24; // mean absolute difference, in code values, from which on it is a cut
const ENOUGH = 0.05; // share of the view that a background must have for its change alone to count as a cut
const ALIKE = 0.5; // correlation below which two backgrounds show different things
const SPREAD = 4; // code values: flatter backgrounds show nothing that could be correlated
const LEAST = 6; // code values that uncorrelated backgrounds must differ by on average
const BLOCK = WORKING_SIZE / GRID_SIZE;

/** A working view, RGBA bytes, averaged to 32 x 32: RGBA again, 0..255, rounded. */
export function shrinkView(view: Uint8Array): Uint8Array {
  const small = new Uint8Array(4 * CELLS);
  for (let y = 0; y < GRID_SIZE; y += 1) {
    for (let x = 0; x < GRID_SIZE; x += 1) {
      let [red, green, blue, cover] = [0, 0, 0, 0];
      for (let j = 0; j < BLOCK; j += 1) {
        let i = 4 * ((y * BLOCK + j) * WORKING_SIZE + x * BLOCK);
        for (const end = i + 4 * BLOCK; i < end; i += 4) {
          red += view[i];
          green += view[i + 1];
          blue += view[i + 2];
          cover += view[i + 3];
        }
      }
      const cell = 4 * (y * GRID_SIZE + x);
      small[cell] = nearestEven(red / (BLOCK * BLOCK));
      small[cell + 1] = nearestEven(green / (BLOCK * BLOCK));
      small[cell + 2] = nearestEven(blue / (BLOCK * BLOCK));
      small[cell + 3] = nearestEven(cover / (BLOCK * BLOCK));
    }
  }
  return small;
}

/** Tells a still scene, motion and a cut apart, as `SceneDetector` of edge_harmony/compose/scene_change.py does. */
export class SceneDetector {
  #view: Uint8Array | null = null;
  #anchor: Uint8Array | null = null; // the last view that was not still: slow changes add up until they count

  /** Forget the last frame. */
  reset(): void {
    this.#view = this.#anchor = null;
  }

  /** Look at the next frame's view, from `shrinkView`; it is kept. */
  update(view: Uint8Array): Change {
    const before = this.#view;
    this.#view = view;
    if (!before || !this.#anchor) {
      this.#anchor = view;
      return "moving";
    }
    const anchor = this.#anchor;
    if (view.every((value, i) => Math.abs(value - anchor[i]) <= STILL_THRESHOLD)) return "still";
    this.#anchor = view;
    return isCut(before, view) ? "cut" : "moving";
  }
}

function isCut(before: Uint8Array, view: Uint8Array): boolean {
  const shared = new Float64Array(CELLS); // background on both frames: no subject moved there
  let [whole, weight, changed] = [0, 0, 0];
  for (let cell = 0; cell < CELLS; cell += 1) {
    const i = 4 * cell;
    const difference =
      (Math.abs(view[i] - before[i]) + Math.abs(view[i + 1] - before[i + 1]) + Math.abs(view[i + 2] - before[i + 2])) / 3;
    shared[cell] = 1 - Math.max(view[i + 3], before[i + 3]) / 255;
    whole += difference;
    weight += shared[cell];
    changed += difference * shared[cell];
  }
  if (whole / CELLS > CUT_THRESHOLD) return true;
  if (weight < ENOUGH * CELLS) return false;
  changed /= weight;
  if (changed > CUT_THRESHOLD) return true;
  return changed > LEAST && correlation(before, view, shared, weight) < ALIKE;
}

/** Of two pictures' brightness, weighted; 1 where either is flat. */
function correlation(first: Uint8Array, second: Uint8Array, shares: Float64Array, total: number): number {
  const light = (picture: Uint8Array, cell: number) =>
    (picture[4 * cell] + picture[4 * cell + 1] + picture[4 * cell + 2]) / 3;
  let [one, two] = [0, 0];
  for (let cell = 0; cell < CELLS; cell += 1) {
    one += (light(first, cell) * shares[cell]) / total;
    two += (light(second, cell) * shares[cell]) / total;
  }
  let [own, other, both] = [0, 0, 0];
  for (let cell = 0; cell < CELLS; cell += 1) {
    const weight = shares[cell] / total;
    const a = light(first, cell) - one;
    const b = light(second, cell) - two;
    own += a * a * weight;
    other += b * b * weight;
    both += a * b * weight;
  }
  const spreads = [Math.sqrt(own), Math.sqrt(other)];
  return Math.min(...spreads) < SPREAD ? 1 : both / (spreads[0] * spreads[1]);
}

/** Rounded to nearest, halves to even. */
function nearestEven(value: number): number {
  const low = Math.floor(value);
  const rest = value - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? low + 1 : low;
}
