import { type Background, BackgroundFitter, type Fit } from "./background.js";
import { COMPOSITE, GRID_SIZE, identity, MASK, MIN_FRAME_SIZE, packView, TRANSFORM, TRANSFORM_LENGTH, WORKING_SIZE } from "./contract.js";
import { EdgeHarmonyError, within } from "./errors.js";
import { APPLY, fillGrid, GRID_WIDTH, SHOW, VIEW, VIEW_BYTES } from "./frame-passes.js";
import { Graphics, type Picture, sizeOf, Texture } from "./graphics.js";
import { LightWrap } from "./light-wrap.js";
import { PersonMatte } from "./matte/person.js";
import { checkTransformGraph, readNotes } from "./model-notes.js";
import { type Backend, type ModelSource, Network, type NetworkOptions, readModel, whyOneThread } from "./network.js";
import { SceneDetector, shrinkView } from "./scene-change.js";
import { FRAME_S, TransformSmoother } from "./smoothing.js";
import { type HarmonizedTrack, harmonizeTrack, type TrackOptions } from "./track.js";

/** Settings of `createHarmonizer`. */
export interface HarmonizerOptions {
  /** "base" (3 MB), "nano" (0.6 MB, less exact), or a transform graph of your own. */
  model?: "base" | "nano" | ModelSource;
  /** "person" loads the matte that finds people; "none" takes alpha with every frame. */
  matte?: "none" | "person";
  /** Another matting network of the same signature, in the place of the package's own. */
  matteModel?: ModelSource;
  /** The folder where onnxruntime-web's files lie, for pages without a bundler. */
  runtime?: string | URL;
  /** "auto" takes WebGPU where there is real hardware for it, else WASM. */
  backend?: "auto" | Backend;
  /** Threads of WASM; by default one, or up to four where the page is cross-origin isolated. */
  threads?: number;
  /** 0 leaves the subject's colours alone, 1 (default) harmonizes fully. */
  strength?: number;
  /** 0 follows every frame, 0.8 (default) settles in half a second; below 1. */
  smoothing?: number;
  /** 0 (default) to 1: how much of the background's light spills over the subject's edge. */
  lightWrap?: number;
  /** How a background of another shape fills the frame. */
  fit?: Fit;
}

/** What belongs to one frame. */
export interface FrameOptions {
  /**
   * How much of each pixel is the subject: a byte for each pixel (0..255, row by row), a picture of the frame's size whose
   * red channel counts, or "own" for the frame's own alpha channel. Without it the person matte is asked.
   */
  alpha?: Uint8Array | Uint8ClampedArray | Picture | "own";
  /** What to put the subject on. Without it the frame is a composite already, and is its own background. */
  background?: Background;
  /** When the frame is shown, in milliseconds: colours then settle as quickly at any frame rate. */
  timeMs?: number;
  /**
   * Whether to wait until the network has judged this very frame (default, exact and repeatable); false shows the frame with
   * the last judgement meanwhile, but for the first frame and after a cut, which are always waited for.
   */
  wait?: boolean;
}

const RED = [1, 0, 0, 0];
const ALPHA = [0, 0, 0, 1];

/**
 * Load a model and set up the graphics.
 *
 * @throws EdgeHarmonyError: a setting out of range, a model that cannot be read, no WebGL2, a backend that cannot run.
 */
export async function createHarmonizer(options: HarmonizerOptions = {}): Promise<Harmonizer> {
  const { model = "base", matte = "none" } = options;
  const strength = within("strength", options.strength ?? 1, 0, 1);
  const smoothing = within("smoothing", options.smoothing ?? 0.8, 0, 0.999);
  const lightWrap = within("lightWrap", options.lightWrap ?? 0, 0, 1);
  const network: NetworkOptions = {
    backend: options.backend ?? "auto",
    threads: options.threads === undefined ? 0 : within("threads", options.threads, 1, 64),
    runtime: options.runtime === undefined ? "" : folder(options.runtime),
  };
  if (!["auto", "wasm", "webgpu"].includes(network.backend)) {
    throw new EdgeHarmonyError("config", `there is no backend ${network.backend}`, "use auto, wasm or webgpu");
  }
  if (matte !== "none" && matte !== "person") {
    throw new EdgeHarmonyError("config", `there is no matte ${String(matte)}`, "use person or none");
  }
  const fit = options.fit ?? "cover";
  if (!["cover", "contain", "stretch"].includes(fit)) {
    throw new EdgeHarmonyError("config", `there is no fit ${String(fit)}`, "use cover, contain or stretch");
  }
  const graphics = new Graphics();
  const opened = await Promise.allSettled([
    openTransform(model, network),
    matte === "person" ? PersonMatte.open(graphics, options.matteModel ?? new URL("./models/person.onnx", import.meta.url), network) : null,
  ]);
  const failed = opened.find((result) => result.status === "rejected");
  if (failed) {
    for (const result of opened) if (result.status === "fulfilled") result.value?.close();
    graphics.close();
    throw failed.reason;
  }
  const [transform, person] = opened.map((result) => (result as PromiseFulfilledResult<unknown>).value) as [Network, PersonMatte | null];
  return new Harmonizer(graphics, transform, person, { strength, smoothing, lightWrap, fit });
}

async function openTransform(model: "base" | "nano" | ModelSource, options: NetworkOptions): Promise<Network> {
  let source: ModelSource = model;
  if (model === "base") source = new URL("./models/base.onnx", import.meta.url);
  if (model === "nano") source = new URL("./models/nano.onnx", import.meta.url);
  const { bytes, name } = await readModel(source);
  checkTransformGraph(readNotes(bytes, name), name);
  return Network.open(bytes, name, options, [COMPOSITE, MASK], [TRANSFORM]);
}

/** An address with a slash at its end, as seen from the page: a worker has an address of its own. */
function folder(address: string | URL): string {
  const { href } = new URL(address, globalThis.location?.href);
  return href.endsWith("/") ? href : `${href}/`;
}

/**
 * Puts a subject on a background, harmonized, frame after frame; made by `createHarmonizer`. It keeps the transform of earlier
 * frames, so that each stream of frames needs one of its own.
 */
export class Harmonizer {
  /** How a background of another shape fills the frame. */
  fit: Fit;
  /** Of how many frames since the start or `reset` the network was not asked, because nothing changed. */
  reused = 0;
  #strength: number;
  #lightWrap: number;
  #compare = 0;
  #smoother: TransformSmoother;
  #scene = new SceneDetector();
  #transform = identity();
  #predicted: Float32Array | null = null;
  #pending: Promise<void> | null = null;
  #failure: unknown = null; // of a judgement that no frame waited for: the next one says it
  #stale = false; // whether a frame that moved was not judged, because the network was busy
  #lastMs: number | undefined;
  #busy = false;
  #closed = false;
  #frame: Texture;
  #cover: Texture;
  #mask: Texture;
  #view: Texture;
  #unlit: Texture;
  #result: Texture;
  #wrap: LightWrap;
  #gridTexture: Texture;
  #grid = new Float32Array(4 * GRID_WIDTH * GRID_SIZE);
  #viewBytes = new Uint8Array(VIEW_BYTES);
  #background: BackgroundFitter;

  /** @internal */
  constructor(
    readonly graphics: Graphics,
    readonly network: Network,
    readonly matte: PersonMatte | null,
    settings: { strength: number; smoothing: number; lightWrap: number; fit: Fit },
  ) {
    this.#strength = settings.strength;
    this.#lightWrap = settings.lightWrap;
    this.#smoother = new TransformSmoother(settings.smoothing);
    this.fit = settings.fit;
    this.#frame = graphics.texture();
    this.#cover = graphics.texture("byte");
    this.#mask = graphics.texture();
    this.#view = graphics.texture().resize(WORKING_SIZE, WORKING_SIZE);
    this.#unlit = graphics.texture();
    this.#result = graphics.texture();
    this.#wrap = new LightWrap(graphics);
    this.#gridTexture = graphics.texture("floats");
    this.#background = new BackgroundFitter(graphics.texture());
  }

  /** Where results appear: put it into the page, draw it, or capture it. */
  get canvas(): HTMLCanvasElement | OffscreenCanvas {
    return this.graphics.canvas;
  }

  /** 0 leaves the subject's colours alone, 1 harmonizes fully; may be set between frames. */
  get strength(): number {
    return this.#strength;
  }

  set strength(value: number) {
    this.#strength = within("strength", value, 0, 1);
  }

  /** 0 follows every frame, 0.8 settles in half a second; may be set between frames. */
  get smoothing(): number {
    return this.#smoother.smoothing;
  }

  set smoothing(value: number) {
    this.#smoother.smoothing = within("smoothing", value, 0, 0.999);
  }

  /** 0..1, how much of the background's light spills over the subject's edge; may be set between frames. */
  get lightWrap(): number {
    return this.#lightWrap;
  }

  set lightWrap(value: number) {
    this.#lightWrap = within("lightWrap", value, 0, 1);
  }

  /** The share of the width, from the left, that shows the subject with its own colours, to compare; 0 at first. */
  get compare(): number {
    return this.#compare;
  }

  set compare(value: number) {
    this.#compare = within("compare", value, 0, 1);
  }

  /** The transform applied to the last frame: 12 x 32 x 32 numbers, see the contract. */
  get transform(): Float32Array {
    return this.#transform.slice();
  }

  /** What runs, on what, and why nothing better: one line for people. */
  get summary(): string {
    const { name, backend, threads, refused } = this.network;
    const one = backend === "wasm" && threads === 1 ? whyOneThread() : "";
    const words = [`${name} on ${backend}${backend === "wasm" ? `, ${threads} thread${threads > 1 ? "s" : ""}` : ""}`, ...refused.map((r) => `not ${r}`)];
    if (one) words.push(`one thread because ${one}`);
    return words.join("; ");
  }

  /**
   * Composite and harmonize one frame. The picture is taken at once: it may change, or be closed, as soon as this returns its
   * promise. One frame at a time: wait for the promise before the next call.
   *
   * @returns `canvas`, which holds the result until the next call.
   * @throws EdgeHarmonyError: no picture, or one smaller than 64 x 64; an alpha of another size; no alpha and no matte.
   */
  async process(picture: Picture, options: FrameOptions = {}): Promise<HTMLCanvasElement | OffscreenCanvas> {
    if (this.#closed) throw new EdgeHarmonyError("config", "this harmonizer is closed", "create another");
    if (this.#busy) {
      throw new EdgeHarmonyError("config", "the frame before is not finished", "await process() before the next frame");
    }
    this.#busy = true;
    try {
      await this.#process(picture, options);
    } finally {
      this.#busy = false;
    }
    return this.canvas;
  }

  /** The last result's pixels. */
  readPixels(): ImageData {
    const { width, height } = this.#result;
    if (!width) throw new EdgeHarmonyError("source", "there is no result yet", "await process() first");
    const image = new ImageData(width, height);
    this.graphics.read(this.#result, new Uint8Array(image.data.buffer));
    return image;
  }

  /**
   * Harmonize a camera's track: the person matte cuts out, each frame is put on the background. The result ends when `track`
   * ends, when it is stopped itself, or with `close()`.
   */
  harmonizeTrack(track: MediaStreamTrack, options: TrackOptions): HarmonizedTrack {
    if (!this.matte) {
      throw new EdgeHarmonyError("matte", "a track needs a matte", "createHarmonizer({ matte: 'person' })");
    }
    return harmonizeTrack(this, track, options);
  }

  /** Forget earlier frames, as for a new source; the next frame's colours are taken at once. */
  reset(): void {
    this.#smoother.reset();
    this.#scene.reset();
    this.matte?.reset();
    this.#transform = identity();
    this.#predicted = null;
    this.#lastMs = undefined;
    this.reused = 0;
  }

  /** Whether `close` was called. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Let go of the networks' memory and of the graphics. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.network.close();
    this.matte?.close();
    this.graphics.close();
  }

  async #process(picture: Picture, options: FrameOptions): Promise<void> {
    if (this.#failure) throw this.#failure;
    const { width, height } = sizeOf(picture);
    if (Math.min(width, height) < MIN_FRAME_SIZE) {
      throw new EdgeHarmonyError("source", `the frame is ${width} x ${height}`, `the smallest side that works is ${MIN_FRAME_SIZE}`);
    }
    const frame = this.#frame.upload(picture);
    const behind = options.background === undefined ? frame : this.#background.update(options.background, this.fit, width, height);
    const elapsedS = this.#elapsedS(options.timeMs);
    const { cover, channel, subject } = await this.#coverOf(frame, options);
    const inputs = { frame: subject, cover, behind, channel };
    this.graphics.draw(VIEW, this.#view, inputs);
    this.#transform = await this.#nextTransform(elapsedS, options.wait ?? true);
    fillGrid(this.#grid, this.#transform, this.#strength);
    const grid = this.#gridTexture.fill(GRID_WIDTH, GRID_SIZE, this.#grid);
    const target = this.#lightWrap ? this.#unlit : this.#result;
    this.graphics.draw(APPLY, target.resize(width, height), { ...inputs, grid, compare: this.#compare * width });
    if (this.#lightWrap) this.#wrap.draw(target, this.#result, inputs, this.#lightWrap);
    this.#show(width, height);
  }

  #show(width: number, height: number): void {
    const { canvas } = this;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    this.graphics.draw(SHOW, null, { picture: this.#result });
  }

  /** Alpha, which channel of it counts, and the subject's own colour. */
  async #coverOf(frame: Texture, { alpha }: FrameOptions): Promise<{ cover: Texture; channel: number[]; subject: Texture }> {
    if (alpha === undefined) {
      if (this.matte) return { ...(await this.matte.update(frame)), channel: RED };
      throw new EdgeHarmonyError("matte", "there is no alpha", "pass { alpha }, or createHarmonizer({ matte: 'person' })");
    }
    if (alpha === "own") return { cover: frame, channel: ALPHA, subject: frame };
    const { width, height } = frame;
    if (alpha instanceof Uint8Array || alpha instanceof Uint8ClampedArray) {
      if (alpha.length !== width * height) {
        throw new EdgeHarmonyError("matte", `alpha has ${alpha.length} bytes`, `${width} x ${height} are needed, one for each pixel`);
      }
      const bytes = new Uint8Array(alpha.buffer, alpha.byteOffset, alpha.length);
      return { cover: this.#cover.fill(width, height, bytes), channel: RED, subject: frame };
    }
    const size = sizeOf(alpha);
    if (size.width !== width || size.height !== height) {
      throw new EdgeHarmonyError("matte", `alpha is ${size.width} x ${size.height}`, `it must be of the frame's size, ${width} x ${height}`);
    }
    return { cover: this.#mask.upload(alpha), channel: RED, subject: frame };
  }

  #elapsedS(timeMs: number | undefined): number {
    const before = this.#lastMs;
    this.#lastMs = timeMs;
    return before === undefined || timeMs === undefined || !(timeMs > before) ? FRAME_S : (timeMs - before) / 1000;
  }

  /** The smoothed transform of this frame; held where there is nothing to compare, subject or background. */
  async #nextTransform(elapsedS: number, wait: boolean): Promise<Float32Array> {
    const view = this.graphics.read(this.#view, this.#viewBytes);
    let [least, most] = [255, 0];
    for (let i = 3; i < VIEW_BYTES; i += 4) {
      if (view[i] < least) least = view[i];
      if (view[i] > most) most = view[i];
    }
    if (most === 0 || least === 255) return this.#transform;
    const small = shrinkView(view);
    const change = this.#scene.update(small);
    if (change === "still" && this.#predicted && this.smoothing > 0 && !this.#stale && !this.#pending) this.reused += 1;
    else if (wait || !this.#predicted || change === "cut") {
      await this.#pending; // an older frame's, which would come in between
      await this.#ask(view);
      this.#stale = false;
    } else if (this.#pending) this.#stale ||= change !== "still";
    else {
      this.#stale = false;
      const done = () => {
        this.#pending = null;
      };
      this.#pending = this.#ask(view).then(done, (error) => {
        this.#failure = error;
        done();
      });
    }
    const cells = new Float32Array(small.length / 4).map((_, cell) => small[4 * cell + 3] / 255);
    return this.#smoother.update(this.#predicted!, cells, change === "cut", elapsedS);
  }

  async #ask(view: Uint8Array): Promise<void> {
    const { composite, mask } = packView(view);
    const side = WORKING_SIZE;
    const results = await this.network.run({
      [COMPOSITE]: { data: composite, dims: [1, 3, side, side] },
      [MASK]: { data: mask, dims: [1, 1, side, side] },
    });
    const transform = results[TRANSFORM]?.data;
    if (transform?.length !== TRANSFORM_LENGTH || !transform.every(Number.isFinite)) {
      throw new EdgeHarmonyError("model", `${this.network.name} gave no transform, or NaN`, "the model is damaged: export it again");
    }
    this.#predicted = transform;
  }
}
