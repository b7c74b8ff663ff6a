/**
 * Put a cut-out subject, or a camera's person, on another background so that its colours belong there, in the browser.
 *
 *     const harmonizer = await createHarmonizer({ matte: "person" });
 *     const track = harmonizer.harmonizeTrack(camera, { background: image });
 */
export type { Background, Fit } from "./background.js";
export { CONTRACT_VERSION } from "./contract.js";
export { EdgeHarmonyError, type Fault } from "./errors.js";
export type { Picture } from "./graphics.js";
export { createHarmonizer, type FrameOptions, type Harmonizer, type HarmonizerOptions } from "./harmonizer.js";
export type { Backend, ModelSource } from "./network.js";
export type { HarmonizedTrack, TrackOptions } from "./track.js";
