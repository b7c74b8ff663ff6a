import type { Graphics, Texture } from "../graphics.js";

const HALVE = `
uniform sampler2D source;
out vec4 small;
void main() {
  ivec2 at = 2 * ivec2(gl_FragCoord.xy);
  ivec4 sum = codes(texelFetch(source, at, 0)) + codes(texelFetch(source, at + ivec2(1, 0), 0)) +
              codes(texelFetch(source, at + ivec2(0, 1), 0)) + codes(texelFetch(source, at + 1, 0));
  small = vec4((sum + 2) / 4) / 255.0;
}`;

/** The mean over the pixels that a smaller one covers, shares of pixels included; interpolated where nothing is smaller. */
const AVERAGE = `
uniform sampler2D source;
uniform vec2 size; // of what is drawn
out vec4 small;
void main() {
  vec2 whole = vec2(textureSize(source, 0)), scale = whole / size;
  if (scale.x < 1.0 || scale.y < 1.0) {
    small = between(source, gl_FragCoord.xy * scale);
    return;
  }
  vec2 start = floor(gl_FragCoord.xy) * scale, end = min(start + scale, whole);
  vec4 sum = vec4(0.0);
  for (int y = int(start.y); float(y) < end.y; y++) {
    float share = min(float(y) + 1.0, end.y) - max(float(y), start.y);
    for (int x = int(start.x); float(x) < end.x; x++)
      sum += share * (min(float(x) + 1.0, end.x) - max(float(x), start.x)) * texelFetch(source, ivec2(x, y), 0);
  }
  small = sum / (scale.x * scale.y);
}`;

/** Reads pictures down, by halves as long as they go, as edge_harmony/matte/scale.py does. Textures are kept for the next. */
export class Shrinker {
  #steps: Texture[] = [];
  #last: Texture | null = null;

  constructor(readonly graphics: Graphics) {}

  /** A picture at a size; the picture itself where it has it already. */
  shrink(source: Texture, width: number, height: number): Texture {
    let step = 0;
    while (source.height >= 2 * height && source.width >= 2 * width && source.width % 2 === 0 && source.height % 2 === 0) {
      const half = (this.#steps[step] ??= this.graphics.texture()).resize(source.width / 2, source.height / 2);
      this.graphics.draw(HALVE, half, { source });
      source = half;
      step += 1;
    }
    if (source.width === width && source.height === height) return source;
    this.#last ??= this.graphics.texture();
    return this.average(source, width, height, this.#last);
  }

  /** A picture at a size in one step. */
  average(source: Texture, width: number, height: number, into: Texture): Texture {
    this.graphics.draw(AVERAGE, into.resize(width, height), { source, size: [width, height] });
    return into;
  }
}
