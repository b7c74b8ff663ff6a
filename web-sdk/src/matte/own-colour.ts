import type { Graphics, Texture } from "../graphics.js";
import { Shrinker } from "./shrink.js";

const FACTOR = 4; // colours of the surroundings are found at a quarter of the size
const WIDE = 4; // further read-down of the wide pass
const WIDE_REACH = 5;
const NARROW_REACH = 2;

/** Means of two pictures in a window, weighted by cover (in `subject`'s fourth channel) and by its complement. */
const MEANS = `
uniform sampler2D subject, rest;
uniform int reach;
layout(location = 0) out vec4 fore;
layout(location = 1) out vec4 back;
ivec2 inside(ivec2 at, ivec2 last) {
  at = abs(at);
  return clamp(min(at, 2 * last - at), ivec2(0), last);
}
void main() {
  ivec2 last = textureSize(subject, 0) - 1, here = ivec2(gl_FragCoord.xy);
  vec4 own = vec4(0.0), other = vec4(0.0);
  for (int y = -reach; y <= reach; y++)
    for (int x = -reach; x <= reach; x++) {
      ivec2 at = inside(here + ivec2(x, y), last);
      vec4 colour = texelFetch(subject, at, 0);
      float cover = colour.a + 1e-4, bare = 1.0002 - cover;
      own += cover * vec4(colour.rgb, 1.0);
      other += bare * vec4(texelFetch(rest, at, 0).rgb, 1.0);
    }
  fore = vec4(own.rgb / max(own.a, 1e-6), 1.0);
  back = vec4(other.rgb / max(other.a, 1e-6), 1.0);
}`;

/** A picture with its cover as the fourth channel, both read down, 0..1. */
const JOIN = `
uniform sampler2D seen, cover;
out vec4 joined;
void main() {
  ivec2 at = ivec2(gl_FragCoord.xy);
  joined = vec4(texelFetch(seen, at, 0).rgb, texelFetch(cover, at, 0).r);
}`;

/** The subject takes up what the mixture leaves unexplained, where there is a mixture. */
const TAKE_UP = `
uniform sampler2D joined, fore, back;
out vec4 colour;
void main() {
  colour = texelFetch(joined, ivec2(gl_FragCoord.xy), 0);
  float weight = colour.a;
  if (weight == 0.0 || weight == 1.0) return;
  vec2 share = gl_FragCoord.xy / vec2(textureSize(joined, 0)) * vec2(textureSize(fore, 0));
  vec3 own = between(fore, share).rgb, other = between(back, share).rgb;
  colour.rgb = clamp(own + weight * (colour.rgb - weight * own - (1.0 - weight) * other), 0.0, 1.0);
}`;

/** The subject's own colour at full size: the frame's where alpha is 0 or 255. */
const UNMIX = `
uniform sampler2D frame, cover, fore, back;
out vec4 subject;
void main() {
  ivec2 at = ivec2(gl_FragCoord.xy);
  subject = texelFetch(frame, at, 0);
  float weight = texelFetch(cover, at, 0).r;
  if (weight == 0.0 || weight == 1.0) return;
  vec2 place = gl_FragCoord.xy / vec2(textureSize(frame, 0)) * vec2(textureSize(fore, 0));
  vec3 own = between(fore, place).rgb, other = between(back, place).rgb;
  vec3 found = own + weight * (subject.rgb - weight * own - (1.0 - weight) * other);
  subject.rgb = floor(clamp(found * 255.0 + 0.5, 0.0, 255.0)) / 255.0;
}`;

/**
 * The subject's own colour at soft edges, where the camera saw it mixed with what was behind: `estimate_foreground` of
 * edge_harmony/matte/foreground.py.
 */
export class OwnColour {
  #seen: Shrinker;
  #cover: Shrinker;
  #coarse: Shrinker;
  #textures: Texture[];
  #subject: Texture;

  constructor(readonly graphics: Graphics) {
    this.#seen = new Shrinker(graphics);
    this.#cover = new Shrinker(graphics);
    this.#coarse = new Shrinker(graphics);
    this.#textures = Array.from({ length: 7 }, () => graphics.texture("floats"));
    this.#subject = graphics.texture();
  }

  /** The colour of a frame's subject; the frame itself where float textures cannot be drawn into. */
  estimate(frame: Texture, cover: Texture): Texture {
    const { graphics } = this;
    if (!graphics.drawsFloats) return frame;
    const size = [Math.ceil(frame.width / FACTOR), Math.ceil(frame.height / FACTOR)] as const;
    const small = [Math.ceil(size[0] / WIDE), Math.ceil(size[1] / WIDE)] as const;
    const [joined, coarse, wideFore, wideBack, colour, fore, back] = this.#textures;
    const seen = this.#seen.shrink(frame, ...size);
    graphics.draw(JOIN, joined.resize(...size), { seen, cover: this.#cover.shrink(cover, ...size) });
    const shrunk = this.#coarse.average(joined, ...small, coarse);
    graphics.draw(MEANS, [wideFore.resize(...small), wideBack.resize(...small)], { subject: shrunk, rest: shrunk, reach: WIDE_REACH });
    graphics.draw(TAKE_UP, colour.resize(...size), { joined, fore: wideFore, back: wideBack });
    graphics.draw(MEANS, [fore.resize(...size), back.resize(...size)], { subject: colour, rest: joined, reach: NARROW_REACH });
    graphics.draw(UNMIX, this.#subject.resize(frame.width, frame.height), { frame, cover, fore, back });
    return this.#subject;
  }
}
