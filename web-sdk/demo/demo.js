// The demo: a video (the clip, or the visitor's camera) through the harmonizer onto its canvas, frame after frame.
import { createHarmonizer } from "../dist/index.js";

const element = (id) => document.getElementById(id);
const controls = element("controls");
const video = document.createElement("video");
video.muted = video.loop = video.playsInline = true;

let harmonizer;
let background;
let errors = 0;

function say(words, isWrong = false) {
  element("state").textContent = words;
  element("state").dataset.is = isWrong ? "wrong" : "fine";
}

/** What to do about an error, in words for a visitor. */
function wordsOf(error) {
  if (error.name === "NotAllowedError") return "The camera was not allowed. Allow it beside the address, or stay with the clip.";
  if (error.name === "NotFoundError") return "No camera was found. Stay with the clip, or plug one in.";
  return error.message;
}

async function useSource(name) {
  try {
    if (name === "camera") {
      if (!navigator.mediaDevices) throw new Error("A page gets the camera at 127.0.0.1 or behind HTTPS only.");
      video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { width: 1280, height: 720 }, audio: false });
    } else {
      for (const track of video.srcObject?.getTracks() ?? []) track.stop();
      video.srcObject = null;
      // As a blob it plays from any static server, also one that cannot send parts of files.
      video.src ||= URL.createObjectURL(await (await fetch("astronaut.webm")).blob());
    }
    harmonizer?.reset();
    await video.play();
    setPaused(false);
  } catch (error) {
    say(wordsOf(error), true);
    controls.elements.source.value = "clip";
    if (name === "camera") await useSource("clip");
  }
}

async function pictureOf(address) {
  const picture = new Image();
  picture.src = address;
  await picture.decode();
  return picture;
}

async function useBackground(name) {
  try {
    background = name.startsWith("#") ? name : await pictureOf(name);
  } catch {
    say("That picture cannot be read. Choose a JPEG, PNG or WebP.", true);
  }
}

function setPaused(paused) {
  element("pause").setAttribute("aria-pressed", String(paused));
  element("pause").textContent = paused ? "Go on" : "Pause";
  if (paused) video.pause();
  else video.play().catch((error) => say(wordsOf(error), true));
}

function nextFrame() {
  return new Promise((done) => {
    const late = setTimeout(done, 250); // also a paused video follows the controls
    const come = () => (clearTimeout(late), done());
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(come);
    else requestAnimationFrame(come);
  });
}

async function run() {
  let frames = 0;
  let since = performance.now();
  for (;;) {
    await nextFrame();
    if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA || background === undefined) continue;
    try {
      await harmonizer.process(video, { background, timeMs: 1000 * video.currentTime, wait: false });
    } catch (error) {
      say(error.message, true);
      errors += 1;
      if (errors > 3) return;
      continue;
    }
    frames += 1;
    const seconds = (performance.now() - since) / 1000;
    if (seconds < 1) continue;
    say(`${(frames / seconds).toFixed(0)} frames a second · ${video.videoWidth} x ${video.videoHeight} · ${harmonizer.summary}`);
    frames = 0;
    since = performance.now();
  }
}

function listen() {
  controls.addEventListener("change", ({ target }) => {
    if (target.name === "source") useSource(target.value);
    if (target.name === "background") useBackground(target.value);
  });
  controls.addEventListener("submit", (event) => event.preventDefault());
  element("own").addEventListener("change", async ({ target }) => {
    if (!target.files.length) return;
    for (const choice of controls.querySelectorAll("[name=background]")) choice.checked = false;
    await useBackground(URL.createObjectURL(target.files[0]));
  });
  element("pause").addEventListener("click", () => setPaused(!video.paused));
  element("compare").addEventListener("input", ({ target }) => (harmonizer.compare = target.value / 100));
  for (const [id, setting] of [["strength", "strength"], ["wrap", "lightWrap"]]) {
    element(id).addEventListener("input", ({ target }) => {
      harmonizer[setting] = target.value / 100;
      element(`${id}-value`).textContent = `${target.value} %`;
    });
  }
}

try {
  harmonizer = await createHarmonizer({ matte: "person", runtime: new URL("../dist/ort/", import.meta.url) });
  element("stage").append(harmonizer.canvas);
  listen();
  await useBackground(controls.elements.background.value);
  await useSource(controls.elements.source.value);
  run();
} catch (error) {
  say(error.message, true);
}
