/** The passes over a frame: the network's view of the composite, and the transform's application to every pixel. */
import { CELLS, GRID_SIZE, READ_SIZE, TRANSFORM_CHANNELS, WORKING_SIZE } from "./contract.js";

/** RGBA bytes of the working view: frame over background at 512 x 512, averaged 2 x 2, and the alpha likewise. */
export const VIEW = `
uniform sampler2D frame, cover, behind;
uniform vec4 channel; // which channel of \`cover\` is alpha
out vec4 view;
void main() {
  vec2 size = vec2(textureSize(frame, 0));
  ivec4 sum = ivec4(2);
  for (int i = 0; i < 4; i++) {
    vec2 place = (2.0 * floor(gl_FragCoord.xy) + vec2(i & 1, i >> 1) + 0.5) / ${READ_SIZE}.0 * size;
    ivec3 subject = codes(between(frame, place)).rgb, ground = codes(between(behind, place)).rgb;
    int alpha = int(dot(between(cover, place), channel) * 255.0 + 0.5);
    sum += ivec4((alpha * subject + (255 - alpha) * ground + 127) / 255, alpha);
  }
  view = vec4(sum / 4) / 255.0;
}`;

/**
 * The composite with the harmonized subject. The grid's map of cell (x, y) lies in the texels (3 x .. 3 x + 2, y), one for
 * each of red, green and blue. Left of \`compare\` (pixels) the subject keeps its colours.
 */
export const APPLY = `
uniform sampler2D frame, cover, behind, grid;
uniform vec4 channel;
uniform float compare;
out vec4 result;
vec4 row(ivec2 low, ivec2 high, vec2 share, int k) {
  return mix(mix(texelFetch(grid, ivec2(3 * low.x + k, low.y), 0), texelFetch(grid, ivec2(3 * low.x + k, high.y), 0), share.y),
             mix(texelFetch(grid, ivec2(3 * high.x + k, low.y), 0), texelFetch(grid, ivec2(3 * high.x + k, high.y), 0), share.y),
             share.x);
}
void main() {
  ivec2 pixel = ivec2(gl_FragCoord.xy);
  vec3 ground = vec3(codes(texelFetch(behind, pixel, 0)).rgb);
  float alpha = floor(dot(texelFetch(cover, pixel, 0), channel) * 255.0 + 0.5);
  result = vec4(ground / 255.0, 1.0);
  if (alpha == 0.0) return;
  vec4 colour = vec4(vec3(codes(texelFetch(frame, pixel, 0)).rgb), 1.0);
  vec3 subject = colour.rgb;
  if (gl_FragCoord.x >= compare) {
    vec2 place = clamp(gl_FragCoord.xy * ${GRID_SIZE}.0 / vec2(textureSize(frame, 0)) - 0.5, 0.0, ${GRID_SIZE - 1}.0);
    ivec2 low = min(ivec2(place), ${GRID_SIZE - 2});
    vec2 share = place - vec2(low);
    subject = vec3(dot(row(low, low + 1, share, 0), colour), dot(row(low, low + 1, share, 1), colour),
                   dot(row(low, low + 1, share, 2), colour));
    subject = clamp(subject, 0.0, 255.0);
  }
  result.rgb = floor(ground + 0.5 + alpha / 255.0 * (subject - ground)) / 255.0;
}`;

/** A texture onto the canvas, whose first row is the lowest. */
export const SHOW = `
uniform sampler2D picture;
out vec4 shown;
void main() {
  ivec2 size = textureSize(picture, 0);
  shown = texelFetch(picture, ivec2(int(gl_FragCoord.x), size.y - 1 - int(gl_FragCoord.y)), 0);
}`;

/** Numbers of the grid's texture, RGBA floats of 3 * 32 x 32 texels. */
export const GRID_WIDTH = 3 * GRID_SIZE;

/** A transform blended with the identity, as maps on code values 0..255 laid out for `APPLY`. */
export function fillGrid(grid: Float32Array, transform: Float32Array, strength: number): void {
  for (let channel = 0; channel < TRANSFORM_CHANNELS; channel += 1) {
    const row = channel >> 2;
    const column = channel & 3;
    const rest = row === column ? 1 - strength : 0;
    const scale = column === 3 ? 255 : 1;
    for (let cell = 0; cell < CELLS; cell += 1) {
      grid[4 * (3 * cell + row) + column] = (strength * transform[channel * CELLS + cell] + rest) * scale;
    }
  }
}

/** Bytes of a working view. */
export const VIEW_BYTES = 4 * WORKING_SIZE * WORKING_SIZE;
