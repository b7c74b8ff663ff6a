/**
 * Runs one network in ONNX Runtime, off the page's own thread. Takes `{id, open}` and `{id, feeds}`, answers `{id, ...}` or
 * `{id, error}`.
 */
import type * as Ort from "onnxruntime-web";

/** How to open a network. */
export interface Opening {
  model: Uint8Array;
  /** The folder of ONNX Runtime's files, or "" where a bundler finds the package. */
  runtime: string;
  backend: "wasm" | "webgpu";
  /** Threads of the WASM backend. */
  threads: number;
}

/** What a network has. */
export interface Opened {
  inputs: string[];
  outputs: string[];
}

/** A tensor of float32. */
export interface Tensor {
  data: Float32Array;
  dims: readonly number[];
}

export type Question = { id: number } & ({ open: Opening } | { feeds: Record<string, Tensor> });
export type Answer = { id: number } & ({ opened: Opened } | { results: Record<string, Tensor> } | { error: string });

let ort: typeof Ort;
let session: Ort.InferenceSession;

async function open({ model, runtime, backend, threads }: Opening): Promise<Opened> {
  if (runtime) ort = await import(/* webpackIgnore: true */ /* @vite-ignore */ `${runtime}ort.${backend}.bundle.min.mjs`);
  else if (backend === "webgpu") ort = await import("onnxruntime-web/webgpu");
  else ort = await import("onnxruntime-web/wasm");
  if (runtime) ort.env.wasm.wasmPaths = runtime;
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = "error";
  session = await ort.InferenceSession.create(model, { executionProviders: [backend], logSeverityLevel: 3 });
  return { inputs: [...session.inputNames], outputs: [...session.outputNames] };
}

async function run(feeds: Record<string, Tensor>): Promise<Record<string, Tensor>> {
  const inputs = Object.fromEntries(
    Object.entries(feeds).map(([name, { data, dims }]) => [name, new ort.Tensor("float32", data, dims)]),
  );
  const outputs = await session.run(inputs);
  const results: Record<string, Tensor> = {};
  for (const [name, tensor] of Object.entries(outputs)) {
    results[name] = { data: Float32Array.from((await tensor.getData()) as Float32Array), dims: tensor.dims };
    tensor.dispose();
  }
  return results;
}

self.onmessage = async ({ data }: MessageEvent<Question>) => {
  const answer = (words: Answer, moved: Transferable[] = []) => self.postMessage(words, { transfer: moved });
  try {
    if ("open" in data) {
      answer({ id: data.id, opened: await open(data.open) });
      return;
    }
    const results = await run(data.feeds);
    answer({ id: data.id, results }, Object.values(results).map((tensor) => tensor.data.buffer));
  } catch (error) {
    answer({ id: data.id, error: error instanceof Error ? error.message : String(error) });
  }
};
