import { dilate, filter, FIVE } from "./planes.js";

const SAME = 3; // code values of change, averaged over a few pixels, that mean none
const OTHER = 14; // and certainly some
const HOLD = 3; // code values by which alpha may differ from what is shown before it follows, where nothing changed

/** Averages alpha over time where the picture stands still, as edge_harmony/matte/steady.py does. */
export class AlphaSteadier {
  #view: Uint8Array | null = null;
  #shown: Float32Array | null = null;

  constructor(readonly amount: number) {}

  /** Forget the earlier frames. */
  reset(): void {
    this.#view = this.#shown = null;
  }

  /** Steady an alpha, a byte for each pixel of a view (RGBA bytes, which are copied). */
  steady(alpha: Uint8Array, view: Uint8Array, width: number, height: number): Uint8Array {
    const before = this.#view;
    this.#view = view.slice();
    if (!before || !this.#shown || before.length !== view.length) {
      this.#shown = Float32Array.from(alpha);
      return alpha;
    }
    const difference = new Float32Array(alpha.length);
    for (let i = 0; i < difference.length; i += 1) {
      const p = 4 * i;
      difference[i] = Math.max(Math.abs(view[p] - before[p]), Math.abs(view[p + 1] - before[p + 1]), Math.abs(view[p + 2] - before[p + 2]));
    }
    const change = dilate(filter(difference, width, height, FIVE), width, height, 2);
    const shown = this.#shown;
    return alpha.map((fresh, i) => {
      const moving = Math.min(Math.max((change[i] - SAME) / (OTHER - SAME), 0), 1);
      const step = fresh - shown[i];
      if (moving > 0 || Math.abs(step) >= HOLD) shown[i] += step * (1 - this.amount + this.amount * moving);
      return shown[i] + 0.5;
    });
  }
}
