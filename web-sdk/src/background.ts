import { EdgeHarmonyError } from "./errors.js";
import { type Picture, sizeOf, type Texture } from "./graphics.js";

export type Fit = "cover" | "contain" | "stretch";

/** A picture of any size, or a colour as CSS writes it. */
export type Background = Picture | string;

/**
 * Brings backgrounds to the frame's size. Images and colours that stay the same are brought there once; canvases, videos and
 * video frames are looked at anew each time.
 */
export class BackgroundFitter {
  #canvas: OffscreenCanvas | HTMLCanvasElement | null = null;
  #last: Background | null = null;
  #lastFit: Fit | null = null;

  constructor(readonly texture: Texture) {}

  /** The background in a texture of the frame's size. */
  update(background: Background, fit: Fit, width: number, height: number): Texture {
    const { texture } = this;
    const same = background === this.#last && fit === this.#lastFit && texture.width === width && texture.height === height;
    if (same && isStill(background)) return texture;
    this.#last = background;
    this.#lastFit = fit;
    if (typeof background !== "string") {
      const size = sizeOf(background);
      if (size.width === width && size.height === height) return texture.upload(background);
    }
    return texture.upload(this.#paint(background, fit, width, height));
  }

  #paint(background: Background, fit: Fit, width: number, height: number): Picture {
    if (!this.#canvas) this.#canvas = newCanvas(width, height);
    const canvas = this.#canvas;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const pen = canvas.getContext("2d", { alpha: false }) as CanvasRenderingContext2D;
    if (typeof background === "string") {
      if (typeof CSS !== "undefined" && !CSS.supports("color", background)) {
        throw new EdgeHarmonyError("config", `${background} is no colour`, "write it as CSS does (#00b140), or pass a picture");
      }
      pen.fillStyle = background;
      pen.fillRect(0, 0, width, height);
      return canvas;
    }
    const size = sizeOf(background);
    const scales = [width / size.width, height / size.height];
    const scale = fit === "contain" ? Math.min(...scales) : Math.max(...scales);
    const inner = fit === "stretch" ? [width, height] : [size.width * scale, size.height * scale];
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, width, height);
    pen.imageSmoothingQuality = "high";
    const drawn = background instanceof ImageData ? paintData(background) : background;
    pen.drawImage(drawn, (width - inner[0]) / 2, (height - inner[1]) / 2, inner[0], inner[1]);
    return canvas;
  }
}

function paintData(data: ImageData): OffscreenCanvas | HTMLCanvasElement {
  const canvas = newCanvas(data.width, data.height);
  (canvas.getContext("2d") as CanvasRenderingContext2D).putImageData(data, 0, 0);
  return canvas;
}

function newCanvas(width: number, height: number): OffscreenCanvas | HTMLCanvasElement {
  if (typeof document === "undefined") return new OffscreenCanvas(width, height);
  return Object.assign(document.createElement("canvas"), { width, height });
}

function isStill(background: Background): boolean {
  return (
    typeof background === "string" ||
    background instanceof ImageData ||
    background instanceof ImageBitmap ||
    (typeof HTMLImageElement !== "undefined" && background instanceof HTMLImageElement)
  );
}
