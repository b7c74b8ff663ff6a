import type { Graphics, Texture } from "./graphics.js";

const RADIUS = 0.02; // how far the light reaches inwards, as a share of the frame's longer side
const FACTORS = [8, 4, 2]; // by how much the light is shrunk to be blurred

/** The background's light that is seen in a cell of `factor` pixels, and how much of the cell that is. */
const SEEN = `
uniform sampler2D cover, behind;
uniform vec4 channel;
uniform int factor;
out vec4 seen;
void main() {
  ivec2 cell = factor * ivec2(gl_FragCoord.xy);
  ivec4 sum = ivec4(2);
  // Of cells larger than two pixels the middle of each quarter says enough.
  int taps = factor > 2 ? 2 : 1, quarter = max(factor / 2, 1), first = factor > 2 ? quarter / 2 - 1 : 0;
  int count = factor > 1 ? 2 : 1;
  for (int i = 0; i < count * count; i++) {
    ivec2 corner = cell + quarter * ivec2(i % count, i / count) + first;
    ivec4 part = ivec4(2);
    for (int k = 0; k < taps * taps; k++) {
      ivec2 at = corner + ivec2(k % taps, k / taps);
      int alpha = int(dot(texelFetch(cover, at, 0), channel) * 255.0 + 0.5);
      part += ivec4(codes(texelFetch(behind, at, 0)).rgb, 255 - alpha);
    }
    sum += taps == 1 ? part - 2 : part / 4;
  }
  vec4 mean = vec4(factor == 1 ? sum - 2 : sum / 4);
  seen = vec4(floor(mean.rgb * mean.a / 255.0 + 0.5), mean.a) / 255.0;
}`;

/** The mean of a line of pixels; beyond the edge the picture goes on as it is there. */
const LINE = `
uniform sampler2D source;
uniform vec2 step;
uniform int reach;
out vec4 mean;
void main() {
  ivec2 last = textureSize(source, 0) - 1, here = ivec2(gl_FragCoord.xy);
  mean = vec4(0.0);
  for (int i = -reach; i <= reach; i++) mean += texelFetch(source, clamp(here + i * ivec2(step), ivec2(0), last), 0);
  mean /= float(2 * reach + 1);
}`;

/** Light added as a screen, so that nothing clips. */
const ADD = `
uniform sampler2D picture, cover, light;
uniform vec4 channel;
uniform float amount;
uniform int factor;
out vec4 lit;
void main() {
  ivec2 pixel = ivec2(gl_FragCoord.xy);
  lit = texelFetch(picture, pixel, 0);
  float alpha = dot(texelFetch(cover, pixel, 0), channel);
  if (alpha == 0.0) return;
  vec3 colour = vec3(codes(lit).rgb);
  vec3 shine = between(light, gl_FragCoord.xy / float(factor)).rgb;
  lit.rgb = floor(colour + amount * alpha * shine * (255.0 - colour) + 0.5) / 255.0;
}`;

/**
 * Lets the background's light spill round the subject's edge, as it does in a lens: `light_wrap` of
 * edge_harmony/compose/finish.py.
 */
export class LightWrap {
  #seen: Texture;
  #line: Texture;
  #light: Texture;

  constructor(readonly graphics: Graphics) {
    this.#seen = graphics.texture();
    this.#line = graphics.texture(graphics.drawsFloats ? "floats" : "bytes");
    this.#light = graphics.texture();
  }

  /** Light on a composite, into `lit`. */
  draw(picture: Texture, lit: Texture, inputs: { cover: Texture; behind: Texture; channel: number[] }, amount: number): void {
    const { graphics } = this;
    const { width, height } = picture;
    const travel = RADIUS * Math.max(width, height);
    const factor = FACTORS.find((cells) => cells <= travel / 8) ?? 1;
    const reach = Math.max(1, Math.trunc((travel / factor - 1.5) / 2));
    const size = [Math.max(Math.floor(width / factor), 1), Math.max(Math.floor(height / factor), 1)] as const;
    const [seen, line, light] = [this.#seen, this.#line, this.#light].map((texture) => texture.resize(...size));
    graphics.draw(SEEN, seen, { ...inputs, factor });
    for (const source of [seen, light]) {
      graphics.draw(LINE, line, { source, step: [1, 0], reach });
      graphics.draw(LINE, light, { source: line, step: [0, 1], reach });
    }
    graphics.draw(ADD, lit.resize(width, height), { picture, light, factor, amount, ...inputs });
  }
}
