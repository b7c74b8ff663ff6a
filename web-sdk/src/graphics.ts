import { EdgeHarmonyError } from "./errors.js";

/** What a picture may be: whatever WebGL can take. */
export type Picture =
  | ImageBitmap
  | ImageData
  | HTMLImageElement
  | HTMLCanvasElement
  | HTMLVideoElement
  | OffscreenCanvas
  | VideoFrame;

type Kind = "bytes" | "byte" | "floats";
type Value = number | boolean | readonly number[] | Texture;

/** A texture; row 0 is a picture's topmost. */
export class Texture {
  handle: WebGLTexture | null = null;
  target: WebGLFramebuffer | null = null;
  width = 0;
  height = 0;

  constructor(
    readonly graphics: Graphics,
    readonly kind: Kind,
  ) {}

  /** Make it of a size; what it held is lost when that changes. */
  resize(width: number, height: number): this {
    if (this.handle && this.width === width && this.height === height) return this;
    const { gl } = this.graphics;
    this.release();
    this.width = width;
    this.height = height;
    this.handle = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, this.handle);
    const format = { bytes: gl.RGBA8, byte: gl.R8, floats: gl.RGBA32F }[this.kind];
    gl.texStorage2D(gl.TEXTURE_2D, 1, format, width, height);
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.NEAREST);
    for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, name, gl.CLAMP_TO_EDGE);
    return this;
  }

  /** Take a picture's pixels: straight colours as they are in the file, no conversion of colour spaces. */
  upload(picture: Picture): this {
    const { width, height } = sizeOf(picture);
    this.resize(width, height);
    const { gl } = this.graphics;
    gl.bindTexture(gl.TEXTURE_2D, this.handle);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, picture as TexImageSource);
    return this;
  }

  /** Take numbers: one byte, or four floats, for each texel. */
  fill(width: number, height: number, data: Uint8Array | Float32Array): this {
    this.resize(width, height);
    const { gl } = this.graphics;
    gl.bindTexture(gl.TEXTURE_2D, this.handle);
    const format = this.kind === "byte" ? gl.RED : gl.RGBA;
    const type = this.kind === "floats" ? gl.FLOAT : gl.UNSIGNED_BYTE;
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, width, height, format, type, data);
    return this;
  }

  release(): void {
    const { gl } = this.graphics;
    gl.deleteFramebuffer(this.target);
    gl.deleteTexture(this.handle);
    this.handle = this.target = null;
  }
}

interface Program {
  handle: WebGLProgram;
  uniforms: { name: string; type: number; place: WebGLUniformLocation }[];
}

const HEADER = `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;

// A code value, 0..255, of a channel 0..1.
ivec4 codes(vec4 value) { return ivec4(value * 255.0 + 0.5); }

// Bilinear, half-pixel centres, clamped edges; \`place\` in texels.
vec4 between(sampler2D source, vec2 place) {
  ivec2 last = textureSize(source, 0) - 1;
  vec2 at = place - 0.5, low = floor(at), share = at - low;
  ivec2 a = clamp(ivec2(low), ivec2(0), last), b = clamp(ivec2(low) + 1, ivec2(0), last);
  return mix(mix(texelFetch(source, a, 0), texelFetch(source, ivec2(b.x, a.y), 0), share.x),
             mix(texelFetch(source, ivec2(a.x, b.y), 0), texelFetch(source, b, 0), share.x), share.y);
}
`;
const CORNERS = `#version 300 es
void main() { gl_Position = vec4(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0, 0.0, 1.0); }`;

/** WebGL2 on a canvas: programs that fill a texture or the canvas from textures. */
export class Graphics {
  readonly gl: WebGL2RenderingContext;
  readonly canvas: HTMLCanvasElement | OffscreenCanvas;
  /** Whether float textures can be drawn into, which the matte's edges need. */
  readonly drawsFloats: boolean;
  #programs = new Map<string, Program>();

  constructor() {
    this.canvas = typeof document === "undefined" ? new OffscreenCanvas(1, 1) : document.createElement("canvas");
    const wanted = { alpha: false, antialias: false, depth: false, preserveDrawingBuffer: true };
    const gl = this.canvas.getContext("webgl2", wanted) as WebGL2RenderingContext | null;
    if (!gl) {
      throw new EdgeHarmonyError("backend", "this browser gives no WebGL2", "use a browser of the last years, with graphics not switched off");
    }
    this.gl = gl;
    this.drawsFloats = gl.getExtension("EXT_color_buffer_float") !== null;
    gl.disable(gl.DITHER);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
    gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
  }

  texture(kind: Kind = "bytes"): Texture {
    return new Texture(this, kind);
  }

  /** Draw with a fragment shader into textures of one size, or onto the canvas (whose first row is the lowest). */
  draw(shader: string, targets: Texture | Texture[] | null, values: Record<string, Value>): void {
    const { gl } = this;
    if (gl.isContextLost()) {
      throw new EdgeHarmonyError("backend", "the browser took the graphics away", "close this harmonizer and create another");
    }
    const program = this.#program(shader);
    gl.useProgram(program.handle);
    let unit = 0;
    for (const { name, type, place } of program.uniforms) {
      const value = values[name];
      if (value instanceof Texture) {
        gl.activeTexture(gl.TEXTURE0 + unit);
        gl.bindTexture(gl.TEXTURE_2D, value.handle);
        gl.uniform1i(place, unit);
        unit += 1;
      } else setUniform(gl, type, place, value);
    }
    gl.activeTexture(gl.TEXTURE0);
    this.#bind(targets);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  /** A texture's bytes, RGBA, from its topmost row. */
  read(texture: Texture, into: Uint8Array): Uint8Array {
    const { gl } = this;
    this.#bind(texture);
    gl.readPixels(0, 0, texture.width, texture.height, gl.RGBA, gl.UNSIGNED_BYTE, into);
    return into;
  }

  close(): void {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }

  #bind(targets: Texture | Texture[] | null): void {
    const { gl } = this;
    if (targets === null) {
      gl.bindFramebuffer(gl.FRAMEBUFFER, null);
      gl.viewport(0, 0, this.canvas.width, this.canvas.height);
      return;
    }
    const all = Array.isArray(targets) ? targets : [targets];
    const first = all[0];
    if (first.target) gl.bindFramebuffer(gl.FRAMEBUFFER, first.target);
    else {
      first.target = gl.createFramebuffer();
      gl.bindFramebuffer(gl.FRAMEBUFFER, first.target);
    }
    all.forEach((texture, i) => gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0 + i, gl.TEXTURE_2D, texture.handle, 0));
    gl.drawBuffers(all.map((_, i) => gl.COLOR_ATTACHMENT0 + i));
    gl.viewport(0, 0, first.width, first.height);
  }

  #program(shader: string): Program {
    const known = this.#programs.get(shader);
    if (known) return known;
    const { gl } = this;
    const handle = gl.createProgram();
    for (const [type, source] of [[gl.VERTEX_SHADER, CORNERS], [gl.FRAGMENT_SHADER, HEADER + shader]] as const) {
      const part = gl.createShader(type)!;
      gl.shaderSource(part, source);
      gl.compileShader(part);
      gl.attachShader(handle, part);
      gl.deleteShader(part);
      if (!gl.getShaderParameter(part, gl.COMPILE_STATUS)) throw refusedShader(gl.getShaderInfoLog(part));
    }
    gl.linkProgram(handle);
    if (!gl.getProgramParameter(handle, gl.LINK_STATUS)) throw refusedShader(gl.getProgramInfoLog(handle));
    const count = gl.getProgramParameter(handle, gl.ACTIVE_UNIFORMS) as number;
    const uniforms = Array.from({ length: count }, (_, i) => {
      const { name, type } = gl.getActiveUniform(handle, i)!;
      return { name, type, place: gl.getUniformLocation(handle, name)! };
    });
    const program = { handle, uniforms };
    this.#programs.set(shader, program);
    return program;
  }
}

/** A picture's width and height in pixels, or an error where it has none (yet). */
export function sizeOf(picture: Picture): { width: number; height: number } {
  const any = picture as unknown as Record<string, unknown>;
  const number = (...names: string[]) => names.map((name) => any?.[name]).find((value) => typeof value === "number");
  const width = number("displayWidth", "videoWidth", "naturalWidth", "width") as number | undefined;
  const height = number("displayHeight", "videoHeight", "naturalHeight", "height") as number | undefined;
  if (width && height) return { width, height };
  throw new EdgeHarmonyError(
    "source",
    width === undefined ? "this is no picture" : "the picture has no pixels yet",
    "pass a canvas, ImageData, ImageBitmap, VideoFrame, or an image or video that has loaded (await video.play())",
  );
}

function setUniform(gl: WebGL2RenderingContext, type: number, place: WebGLUniformLocation, value: Value | undefined): void {
  const numbers = typeof value === "object" ? (value as readonly number[]) : [Number(value)];
  if (type === gl.INT || type === gl.BOOL) gl.uniform1i(place, numbers[0]);
  else if (type === gl.FLOAT) gl.uniform1f(place, numbers[0]);
  else if (type === gl.FLOAT_VEC2) gl.uniform2fv(place, numbers);
  else if (type === gl.FLOAT_VEC3) gl.uniform3fv(place, numbers);
  else if (type === gl.FLOAT_VEC4) gl.uniform4fv(place, numbers);
  else throw new TypeError(`a uniform of type ${type} is not set here`);
}

function refusedShader(said: string | null): EdgeHarmonyError {
  return new EdgeHarmonyError("backend", `this browser's graphics refuse a shader: ${said ?? ""}`, "update the graphics driver");
}
