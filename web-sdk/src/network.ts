import { EdgeHarmonyError } from "./errors.js";
import type { Answer, Opened, Opening, Question, Tensor } from "./network-worker.js";

export type Backend = "wasm" | "webgpu";

/** Where a model comes from: an address, or its bytes. */
export type ModelSource = string | URL | ArrayBuffer | Uint8Array;

export interface NetworkOptions {
  backend: "auto" | Backend;
  runtime: string;
  threads: number;
}

const MOST_THREADS = 4;

/** A network that runs in a worker of its own. */
export class Network {
  #questions = new Map<number, { resolve(answer: Answer): void; reject(error: Error): void }>();
  #next = 0;

  private constructor(
    readonly name: string,
    readonly backend: Backend,
    readonly threads: number,
    /** Why a backend that was tried before was not taken, one line each. */
    readonly refused: readonly string[],
    readonly worker: Worker,
  ) {
    worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      const waiting = this.#questions.get(data.id);
      this.#questions.delete(data.id);
      if ("error" in data) waiting?.reject(new EdgeHarmonyError("model", `${name}: ${data.error}`, ""));
      else waiting?.resolve(data);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      this.#fail(`the worker of ${name} could not be started or ended: ${event.message || "no reason was given"}`);
    };
  }

  /**
   * Open a network. With "auto" it is WebGPU where there is an adapter that is no software, and WASM otherwise; a backend
   * that is asked for runs or is an error.
   */
  static async open(model: Uint8Array, name: string, options: NetworkOptions, inputs: string[], outputs: string[]): Promise<Network> {
    const refused: string[] = [];
    const threads = options.threads || defaultThreads();
    for (const backend of options.backend === "auto" ? (["webgpu", "wasm"] as const) : [options.backend]) {
      const reason = backend === "webgpu" ? await whyNoWebGpu(options.backend === "auto") : "";
      if (reason) {
        refused.push(`webgpu: ${reason}`);
        continue;
      }
      const network = new Network(name, backend, threads, refused, startWorker());
      try {
        const found = await network.#open({ model, runtime: options.runtime, backend, threads });
        network.#check(found, inputs, outputs);
        return network;
      } catch (error) {
        network.close();
        if (!(error instanceof EdgeHarmonyError) || error.fault === "config") throw error;
        refused.push(`${backend}: ${error.message}`);
      }
    }
    throw new EdgeHarmonyError("backend", `${name} cannot run here: ${refused.join("; ")}`, runtimeHint(options.runtime));
  }

  /** Run it; the feeds' numbers are moved away and may not be used again. */
  async run(feeds: Record<string, Tensor>): Promise<Record<string, Tensor>> {
    const answer = await this.#ask({ id: 0, feeds }, Object.values(feeds).map((tensor) => tensor.data.buffer));
    return "results" in answer ? answer.results : {};
  }

  close(): void {
    this.worker.terminate();
    this.#fail(`${this.name} was closed`);
  }

  async #open(open: Opening): Promise<Opened> {
    const answer = await this.#ask({ id: 0, open });
    return "opened" in answer ? answer.opened : { inputs: [], outputs: [] };
  }

  #check(found: Opened, inputs: string[], outputs: string[]): void {
    const same = (a: string[], b: string[]) => [...a].sort().join() === [...b].sort().join();
    if (same(found.inputs, inputs) && same(found.outputs, outputs)) return;
    throw new EdgeHarmonyError(
      "model",
      `${this.name} has the tensors ${found.inputs.join(", ")} and ${found.outputs.join(", ")}, not ${inputs.join(", ")} and ${outputs.join(", ")}`,
      "use a model of this package, or one that it exported",
    );
  }

  #ask(question: Question, moved: Transferable[] = []): Promise<Answer> {
    return new Promise((resolve, reject) => {
      question.id = this.#next += 1;
      this.#questions.set(question.id, { resolve, reject });
      this.worker.postMessage(question, moved);
    });
  }

  #fail(words: string): void {
    const error = new EdgeHarmonyError("backend", words, "open the browser's console: it says which file was refused, and why");
    for (const { reject } of this.#questions.values()) reject(error);
    this.#questions.clear();
  }
}

/** Read a model's bytes. */
export async function readModel(source: ModelSource): Promise<{ bytes: Uint8Array; name: string }> {
  if (source instanceof Uint8Array) return { bytes: source, name: "the model" };
  if (source instanceof ArrayBuffer) return { bytes: new Uint8Array(source), name: "the model" };
  const url = String(source);
  const name = url.split("/").pop() || url;
  let failure: string;
  try {
    const answer = await fetch(url);
    if (answer.ok) return { bytes: new Uint8Array(await answer.arrayBuffer()), name };
    failure = `the server says ${answer.status}`;
  } catch (error) {
    failure = error instanceof Error ? error.message : String(error);
  }
  throw new EdgeHarmonyError("model", `${url} cannot be read: ${failure}`, "check the address; models lie in the package's folder dist/models");
}

/** Why threads cannot be had, or "". */
export function whyOneThread(): string {
  return globalThis.crossOriginIsolated ? "" : "the page is not cross-origin isolated (COOP and COEP headers)";
}

function defaultThreads(): number {
  return whyOneThread() ? 1 : Math.min(MOST_THREADS, navigator.hardwareConcurrency || 1);
}

interface Adapter {
  info?: { isFallbackAdapter?: boolean };
  isFallbackAdapter?: boolean;
}

async function whyNoWebGpu(refuseSoftware: boolean): Promise<string> {
  const gpu = (navigator as { gpu?: { requestAdapter(): Promise<Adapter | null> } }).gpu;
  if (!gpu) return "this browser has none, or the page is no secure context";
  const adapter = await gpu.requestAdapter().catch(() => null);
  if (!adapter) return "no adapter";
  const isSoftware = adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter ?? false;
  return isSoftware && refuseSoftware ? "the adapter is software" : "";
}

function startWorker(): Worker {
  try {
    return new Worker(new URL("./network-worker.js", import.meta.url), { type: "module" });
  } catch (error) {
    throw new EdgeHarmonyError(
      "backend",
      `no worker can be started: ${error instanceof Error ? error.message : String(error)}`,
      "serve this package from the page's own origin, and allow worker-src 'self' in its policy",
    );
  }
}

function runtimeHint(runtime: string): string {
  return runtime
    ? `runtime must be the address of a folder with onnxruntime-web's ort.*.bundle.min.mjs and *.wasm; it is ${runtime}`
    : "without a bundler, say where ONNX Runtime lies: createHarmonizer({ runtime: '/ort/' })";
}
