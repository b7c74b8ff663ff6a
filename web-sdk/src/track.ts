import type { Background } from "./background.js";
import { EdgeHarmonyError } from "./errors.js";
import type { Harmonizer } from "./harmonizer.js";

/** A video track of the harmonized camera. */
export type HarmonizedTrack = MediaStreamTrack;

/** Settings of `harmonizeTrack`. */
export interface TrackOptions {
  /** What to put the person on; or a function that is asked for it for each frame, so that it can be changed. */
  background: Background | (() => Background);
  /** "processor" takes frames from the track itself (Chromium), "canvas" goes over a video element; by default what is there. */
  by?: "auto" | "processor" | "canvas";
  /** Whether each frame waits for its own judgement of colours; by default not, so that pictures move as they come. */
  wait?: boolean;
  /** Told what went wrong with a frame; the frame is left out. By default a warning on the console. */
  onError?: (error: Error) => void;
  /** Told after each frame how many milliseconds it took. */
  onFrame?: (took: number) => void;
}

interface Processor {
  readable: ReadableStream<VideoFrame>;
}
type Generator = MediaStreamTrack & { writable: WritableStream<VideoFrame> };
interface Breakout {
  MediaStreamTrackProcessor?: new (init: { track: MediaStreamTrack; maxBufferSize?: number }) => Processor;
  MediaStreamTrackGenerator?: new (init: { kind: "video" }) => Generator;
}

/** See `Harmonizer.harmonizeTrack`. */
export function harmonizeTrack(harmonizer: Harmonizer, track: MediaStreamTrack, options: TrackOptions): HarmonizedTrack {
  if (track.kind !== "video" || track.readyState !== "live") {
    throw new EdgeHarmonyError("source", `the track is ${track.kind}, ${track.readyState}`, "pass a live video track: stream.getVideoTracks()[0]");
  }
  const breakout = globalThis as Breakout;
  const able = breakout.MediaStreamTrackProcessor !== undefined && breakout.MediaStreamTrackGenerator !== undefined;
  if (options.by === "processor" && !able) {
    throw new EdgeHarmonyError("backend", "this browser cannot take a track's frames here", "use by: 'canvas'");
  }
  return able && options.by !== "canvas" ? byProcessor(harmonizer, track, options, breakout) : byCanvas(harmonizer, track, options);
}

/** One frame; false where it went wrong. */
async function harmonize(harmonizer: Harmonizer, frame: VideoFrame | HTMLVideoElement, timeMs: number, options: TrackOptions): Promise<boolean> {
  const { background, wait = false } = options;
  const start = performance.now();
  try {
    await harmonizer.process(frame, { background: typeof background === "function" ? background() : background, timeMs, wait });
  } catch (error) {
    if (!harmonizer.closed) (options.onError ?? console.warn)(error as Error);
    return false;
  }
  options.onFrame?.(performance.now() - start);
  return true;
}

function byProcessor(harmonizer: Harmonizer, track: MediaStreamTrack, options: TrackOptions, breakout: Breakout): HarmonizedTrack {
  const frames = new breakout.MediaStreamTrackProcessor!({ track, maxBufferSize: 1 }).readable.getReader();
  const result = new breakout.MediaStreamTrackGenerator!({ kind: "video" });
  const writer = result.writable.getWriter();
  const isOver = () => harmonizer.closed || result.readyState === "ended";
  const loop = async () => {
    while (!isOver()) {
      const { done, value: frame } = await frames.read();
      if (done) break;
      const { timestamp } = frame;
      // The picture is taken at once: the camera may have its buffer back while the networks work.
      const finished = harmonize(harmonizer, frame, timestamp / 1000, options);
      frame.close();
      if (!(await finished) || isOver()) continue;
      await writer.write(new VideoFrame(harmonizer.canvas, { timestamp, alpha: "discard" }));
    }
    await frames.cancel();
    await writer.close();
  };
  loop().catch((error: Error) => isOver() || (options.onError ?? console.warn)(error));
  return result;
}

function byCanvas(harmonizer: Harmonizer, track: MediaStreamTrack, options: TrackOptions): HarmonizedTrack {
  const { canvas } = harmonizer;
  if (!(typeof HTMLCanvasElement !== "undefined" && canvas instanceof HTMLCanvasElement)) {
    throw new EdgeHarmonyError("backend", "without a page there is no canvas to capture", "call harmonizeTrack in the page, not in a worker");
  }
  const [result] = canvas.captureStream().getVideoTracks();
  const video = document.createElement("video");
  video.muted = video.playsInline = true;
  video.srcObject = new MediaStream([track]);
  const isOver = () => harmonizer.closed || result.readyState === "ended" || track.readyState === "ended";
  const loop = async () => {
    await video.play();
    while (!isOver()) {
      const timeMs = await nextFrame(video);
      if (!isOver() && timeMs !== null) await harmonize(harmonizer, video, timeMs, options);
    }
    video.srcObject = null;
    result.stop();
  };
  loop().catch((error: Error) => isOver() || (options.onError ?? console.warn)(error));
  return result;
}

const LONGEST_WAIT_MS = 500;

/** When the next frame is shown, in milliseconds; null where none came, so that the end of the track is noticed. */
function nextFrame(video: HTMLVideoElement): Promise<number | null> {
  return new Promise((resolve) => {
    const late = setTimeout(() => resolve(null), LONGEST_WAIT_MS);
    const come = (timeMs: number) => {
      clearTimeout(late);
      resolve(timeMs);
    };
    if ("requestVideoFrameCallback" in video) video.requestVideoFrameCallback((_, { mediaTime }) => come(1000 * mediaTime));
    else requestAnimationFrame(() => come(performance.now()));
  });
}
