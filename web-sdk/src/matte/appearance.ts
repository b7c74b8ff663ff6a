import { filter, SOFT } from "./planes.js";

const LIGHT = 12; // bins of Lab's lightness
const CHROMA = 24; // and of each of its other axes, which are stretched to twice
const BINS = LIGHT * CHROMA * CHROMA;
const KEPT = 0.97; // of a histogram from frame to frame
const FLOOR = 5e-5; // share of a region that every colour is thought to have
const MOST = 4; // log likelihood ratio beyond which more of it says nothing more
const DOUBT = 5; // logit of alpha from which on the network is hardly doubted
const LEAST_SHARE = 0.02; // of a frame that subject and background must have for their colours to be fully trusted

// Lab of 8 bits in whole numbers, as OpenCV computes it: light in steps of 1 / 2040, cube roots in steps of 1 / 32768.
const LIGHTS = 255 * 8;
const ROOTS_UNIT = 32768;
const LINEAR = Int32Array.from({ length: 256 }, (_, code) => {
  const share = code / 255;
  return Math.round(LIGHTS * (share > 0.04045 ? ((share + 0.055) / 1.055) ** 2.4 : share / 12.92));
});
const ROOTS = Int32Array.from({ length: (256 * 8 * 3) / 2 }, (_, light) => {
  const share = light / LIGHTS;
  return Math.round(ROOTS_UNIT * (share < 0.008856 ? share * 7.787 + 0.13793103448275862 : Math.cbrt(share)));
});
/** Red's, green's and blue's shares of X, Y and Z over the white point, in 1 / 4096. */
const [X, Y, Z] = [
  [0.412453 / 0.950456, 0.35758 / 0.950456, 0.180423 / 0.950456],
  [0.212671, 0.71516, 0.072169],
  [0.019334 / 1.088754, 0.119193 / 1.088754, 0.950227 / 1.088754],
].map((row) => row.map((share) => Math.round(4096 * share)));
const LOGIT = Float64Array.from({ length: 256 }, (_, code) => {
  const share = Math.min(Math.max(code / 255, 0.002), 0.998);
  return Math.log(share / (1 - share));
});
const TRUST = LOGIT.map((logit) => Math.exp(-((logit / DOUBT) ** 2)));

/**
 * Corrects a network's alpha by how much more often each colour was subject than background so far, as
 * edge_harmony/matte/appearance.py does.
 */
export class Appearance {
  #subject: Float32Array | null = null;
  #background: Float32Array | null = null;

  /** Forget all colours. */
  reset(): void {
    this.#subject = this.#background = null;
  }

  /** Learn from a frame's view (RGBA bytes) and correct its alpha, a byte for each pixel. */
  correct(alpha: Uint8Array, view: Uint8Array, width: number, height: number): Uint8Array {
    const colours = binsOf(view);
    const subject = new Float64Array(BINS);
    const everything = new Float64Array(BINS);
    for (let i = 0; i < colours.length; i += 1) {
      subject[colours[i]] += alpha[i] / 255 / colours.length;
      everything[colours[i]] += 1 / colours.length;
    }
    const own = smoothed(subject);
    const rest = smoothed(everything).map((share, bin) => share - own[bin]);
    this.#subject = this.#subject ? follow(this.#subject, own) : own;
    this.#background = this.#background ? follow(this.#background, rest) : rest;
    const [n, m] = [sum(this.#subject), sum(this.#background)];
    const known = Math.min(1, n / LEAST_SHARE, m / LEAST_SHARE);
    const table = new Float32Array(BINS);
    for (let bin = 0; bin < BINS; bin += 1) {
      const ratio = Math.log((this.#subject[bin] / Math.max(n, 1e-6) + FLOOR) / (this.#background[bin] / Math.max(m, 1e-6) + FLOOR));
      table[bin] = known * Math.min(Math.max(ratio, -MOST), MOST);
    }
    const said = filter(Float32Array.from(colours, (bin) => table[bin]), width, height, SOFT);
    return alpha.map((code, i) => 255 / (1 + Math.exp(-(LOGIT[code] + TRUST[code] * said[i]))) + 0.5);
  }
}

const clamp = (code: number) => Math.min(Math.max(code, 0), 255);

/** The bin of each pixel's colour. */
function binsOf(view: Uint8Array): Uint16Array {
  const bins = new Uint16Array(view.length / 4);
  for (let i = 0; i < bins.length; i += 1) {
    const [red, green, blue] = [LINEAR[view[4 * i]], LINEAR[view[4 * i + 1]], LINEAR[view[4 * i + 2]]];
    const x = ROOTS[(X[0] * red + X[1] * green + X[2] * blue + 2048) >> 12];
    const y = ROOTS[(Y[0] * red + Y[1] * green + Y[2] * blue + 2048) >> 12];
    const z = ROOTS[(Z[0] * red + Z[1] * green + Z[2] * blue + 2048) >> 12];
    const light = clamp((296 * y - Math.floor((16 * 255 * ROOTS_UNIT + 50) / 100) + ROOTS_UNIT / 2) >> 15);
    const across = clamp((500 * (x - y) + 128 * ROOTS_UNIT + ROOTS_UNIT / 2) >> 15);
    const along = clamp((200 * (y - z) + 128 * ROOTS_UNIT + ROOTS_UNIT / 2) >> 15);
    bins[i] = (((light * LIGHT) >> 8) * CHROMA + chromaBin(across)) * CHROMA + chromaBin(along);
  }
  return bins;
}

const chromaBin = (code: number) => (clamp(2 * (code - 128) + 128) * CHROMA) >> 8;
const smoothed = (counts: Float64Array) => filter(Float32Array.from(counts), CHROMA, LIGHT * CHROMA, SOFT);
const follow = (kept: Float32Array, now: Float32Array) => kept.map((share, bin) => share + (1 - KEPT) * (now[bin] - share));
const sum = (shares: Float32Array) => shares.reduce((total, share) => total + share, 0);
