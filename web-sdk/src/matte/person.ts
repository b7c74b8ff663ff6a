import { EdgeHarmonyError } from "../errors.js";
import type { Graphics, Texture } from "../graphics.js";
import { type ModelSource, Network, type NetworkOptions, readModel } from "../network.js";
import { Appearance } from "./appearance.js";
import { EdgeSnapper } from "./edges.js";
import { OwnColour } from "./own-colour.js";
import { Shrinker } from "./shrink.js";
import { AlphaSteadier } from "./steady.js";

const SIZE = 288; // pixels: the longest side of what the network sees
const STRIDE = 32;
const STEADY = 0.7;
const BLACK = 0.06;
const WHITE = 0.94;

/** Alphas of the network that become 0 and 255, and those between stretched. */
const LEVELS = Uint8Array.from({ length: 256 }, (_, code) => {
  const share = (code - BLACK * 255) / ((WHITE - BLACK) * 255);
  return Math.floor(Math.min(Math.max(share, 0), 1) * 255 + 0.5);
});

/**
 * Finds people with the package's own small network, as `PersonMatte` of edge_harmony/matte/person.py does: the network sees
 * the frame read down and the alpha it found before; colours correct it, it is steadied, and brought to full size along the
 * picture's edges. What was behind the person is taken out of soft edges.
 */
export class PersonMatte {
  #shrinker: Shrinker;
  #snapper: EdgeSnapper;
  #ownColour: OwnColour;
  #appearance = new Appearance();
  #steadier = new AlphaSteadier(STEADY);
  #small: Texture;
  #cover: Texture;
  #view: Uint8Array = new Uint8Array(0);
  #previous: Uint8Array = new Uint8Array(0);

  private constructor(
    readonly graphics: Graphics,
    readonly network: Network,
  ) {
    this.#shrinker = new Shrinker(graphics);
    this.#snapper = new EdgeSnapper(graphics);
    this.#ownColour = new OwnColour(graphics);
    this.#small = graphics.texture("byte");
    this.#cover = graphics.texture("byte");
  }

  static async open(graphics: Graphics, model: ModelSource, options: NetworkOptions): Promise<PersonMatte> {
    const { bytes, name } = await readModel(model);
    return new PersonMatte(graphics, await Network.open(bytes, name, options, ["picture"], ["alpha"]));
  }

  /** The frame's alpha, in a byte texture of its size, and the subject's own colour. */
  async update(frame: Texture): Promise<{ cover: Texture; subject: Texture }> {
    const [width, height] = viewSize(frame.width, frame.height);
    const pixels = width * height;
    if (this.#view.length !== 4 * pixels) {
      this.#view = new Uint8Array(4 * pixels);
      this.#previous = new Uint8Array(pixels);
      this.#steadier.reset();
    }
    const view = this.graphics.read(this.#shrinker.shrink(frame, width, height), this.#view);
    const data = new Float32Array(4 * pixels);
    for (let i = 0; i < pixels; i += 1) {
      for (let k = 0; k < 3; k += 1) data[k * pixels + i] = view[4 * i + k] / 255;
      data[3 * pixels + i] = this.#previous[i] / 255;
    }
    const { alpha } = await this.network.run({ picture: { data, dims: [1, 4, height, width] } });
    if (alpha.data.length !== pixels || !alpha.data.every(Number.isFinite)) {
      throw new EdgeHarmonyError("model", `${this.network.name} gave no alpha, or NaN`, "the model is damaged: load it again");
    }
    const found = Uint8Array.from(alpha.data, (share) => Math.min(Math.max(share, 0), 1) * 255 + 0.5);
    this.#previous = this.#appearance.correct(found, view, width, height);
    const steadied = this.#steadier.steady(this.#previous.map((code) => LEVELS[code]), view, width, height);
    const cover = this.#snapper.snap(this.#small.fill(width, height, steadied), frame, this.#cover);
    return { cover, subject: this.#ownColour.estimate(frame, cover) };
  }

  /** Forget the previous alpha and the colours. */
  reset(): void {
    this.#previous.fill(0);
    this.#appearance.reset();
    this.#steadier.reset();
  }

  close(): void {
    this.network.close();
  }
}

/** The multiples of 32 whose shape is nearest to the frame's: width and height of what the network sees. */
function viewSize(width: number, height: number): [number, number] {
  const short = (SIZE * Math.min(width, height)) / Math.max(width, height);
  const below = Math.max(STRIDE, Math.floor(short / STRIDE) * STRIDE);
  const nearest = short * short < below * (below + STRIDE) ? below : below + STRIDE;
  return height <= width ? [SIZE, nearest] : [nearest, SIZE];
}
