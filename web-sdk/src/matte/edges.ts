import type { Graphics, Texture } from "../graphics.js";
import { Shrinker } from "./shrink.js";

const FIT = `
uniform sampler2D source;
out vec4 fitted;
uniform vec2 size;
void main() { fitted = between(source, gl_FragCoord.xy * vec2(textureSize(source, 0)) / size); }`;

const WINDOW = `
// Beyond the border the picture is mirrored, the outermost pixel included.
ivec2 inside(ivec2 at, ivec2 size) {
  at = max(at, -1 - at);
  return clamp(min(at, 2 * size - 1 - at), ivec2(0), size - 1);
}
uniform int reach;
`;

/** The guided filter's local model, alpha = slopes . colour + offset, in windows of the guide; and where there is an edge. */
const FIT_MODEL = `${WINDOW}
uniform sampler2D guide, alpha;
layout(location = 0) out vec4 model;
layout(location = 1) out vec4 edge;
void main() {
  ivec2 size = textureSize(guide, 0), here = ivec2(gl_FragCoord.xy);
  vec3 mean = vec3(0.0), square = vec3(0.0), cross = vec3(0.0), shared = vec3(0.0);
  float cover = 0.0, least = 255.0, most = 0.0;
  for (int y = -reach - 1; y <= reach + 1; y++)
    for (int x = -reach - 1; x <= reach + 1; x++) {
      ivec2 at = inside(here + ivec2(x, y), size);
      float a = float(codes(texelFetch(alpha, at, 0)).r);
      least = min(least, a);
      most = max(most, a);
      if (max(abs(x), abs(y)) > reach) continue;
      vec3 c = vec3(codes(texelFetch(guide, at, 0)).rgb);
      mean += c; square += c * c; cross += c * c.gbr; shared += a * c; cover += a;
    }
  edge = vec4(most > least ? 1.0 : 0.0);
  float share = 1.0 / float((2 * reach + 1) * (2 * reach + 1));
  mean *= share;
  cover *= share;
  square = square * share - mean * mean + 1e-4 * 255.0 * 255.0;
  cross = cross * share - mean * mean.gbr; // red with green, green with blue, blue with red
  shared = shared * share - mean * cover;
  vec3 own = square.gbr * square.brg - cross.gbr * cross.gbr, other = cross.brg * cross.gbr - cross * square.brg;
  // The inverse of the symmetric covariance, by cofactors.
  mat3 inverted = mat3(own.r, other.r, other.b, other.r, own.g, other.g, other.b, other.g, own.b);
  vec3 slopes = inverted * shared / (square.r * own.r + cross.r * other.r + cross.b * other.b);
  model = vec4(slopes, cover - dot(slopes, mean));
}`;

const MEAN = `${WINDOW}
uniform sampler2D source;
out vec4 mean;
void main() {
  ivec2 size = textureSize(source, 0), here = ivec2(gl_FragCoord.xy);
  mean = vec4(0.0);
  for (int y = -reach; y <= reach; y++)
    for (int x = -reach; x <= reach; x++) mean += texelFetch(source, inside(here + ivec2(x, y), size), 0);
  mean /= float((2 * reach + 1) * (2 * reach + 1));
}`;

/** The model applied at full size, with more contrast, where there is an edge. */
const SNAP = `
uniform sampler2D frame, alpha, model, edge;
out vec4 cover;
void main() {
  vec2 size = vec2(textureSize(frame, 0)), share = gl_FragCoord.xy / size;
  ivec2 cells = textureSize(model, 0);
  vec2 place = share * vec2(cells);
  int row = min(int(place.y), cells.y - 1), left = int(floor(place.x - 0.5));
  float asked = max(texelFetch(edge, ivec2(max(left, 0), row), 0).r, texelFetch(edge, ivec2(min(left + 1, cells.x - 1), row), 0).r);
  if (asked == 0.0) {
    cover = between(alpha, share * vec2(textureSize(alpha, 0)));
    return;
  }
  vec4 fitted = between(model, place);
  float value = dot(fitted.rgb, vec3(codes(texelFetch(frame, ivec2(gl_FragCoord.xy), 0)).rgb)) + fitted.a;
  cover = vec4(floor(clamp((value - 127.5) * 1.3 + 128.0, 0.0, 255.0)) / 255.0);
}`;

/** Brings a small alpha to the frame's size along the picture's edges: `guided_alpha` of edge_harmony/matte/refine.py. */
export class EdgeSnapper {
  #shrinker: Shrinker;
  #small: Texture;
  #model: Texture;
  #mean: Texture;
  #edge: Texture;

  constructor(readonly graphics: Graphics) {
    this.#shrinker = new Shrinker(graphics);
    this.#small = graphics.texture("byte");
    this.#model = graphics.texture("floats");
    this.#mean = graphics.texture("floats");
    this.#edge = graphics.texture("byte");
  }

  /** Alpha at the frame's size, into `cover`. */
  snap(alpha: Texture, frame: Texture, cover: Texture): Texture {
    const { graphics } = this;
    cover.resize(frame.width, frame.height);
    const size = [frame.width, frame.height];
    if (!graphics.drawsFloats || (alpha.width === frame.width && alpha.height === frame.height)) {
      graphics.draw(FIT, cover, { source: alpha, size });
      return cover;
    }
    const radius = Math.max(2, nearest(2 * Math.max(frame.height / alpha.height, frame.width / alpha.width)));
    const factor = Math.max(1, radius >> 1);
    const [width, height] = [Math.ceil(frame.width / factor), Math.ceil(frame.height / factor)];
    const reach = Math.max(1, nearest(radius / factor));
    const guide = this.#shrinker.shrink(frame, width, height);
    graphics.draw(FIT, this.#small.resize(width, height), { source: alpha, size: [width, height] });
    const [model, mean, edge] = [this.#model.resize(width, height), this.#mean.resize(width, height), this.#edge.resize(width, height)];
    graphics.draw(FIT_MODEL, [model, edge], { guide, alpha: this.#small, reach });
    graphics.draw(MEAN, mean, { source: model, reach });
    graphics.draw(SNAP, cover, { frame, alpha, model: mean, edge });
    return cover;
  }
}

/** Rounded, halves to even. */
function nearest(value: number): number {
  return Math.abs(value % 1) === 0.5 ? 2 * Math.round(value / 2) : Math.round(value);
}
