import { CONTRACT_VERSION } from "./contract.js";
import { EdgeHarmonyError } from "./errors.js";

const METADATA_FIELD = 14; // of ONNX's ModelProto: metadata_props, pairs of key (1) and value (2)

/** What an ONNX file says of itself: its `metadata_props`. */
export function readNotes(model: Uint8Array, name: string): Map<string, string> {
  const notes = new Map<string, string>();
  try {
    for (const [field, pair] of fields(model)) {
      if (field !== METADATA_FIELD) continue;
      const texts = new Map<number, string>();
      for (const [part, bytes] of fields(pair)) texts.set(part, new TextDecoder().decode(bytes));
      notes.set(texts.get(1) ?? "", texts.get(2) ?? "");
    }
  } catch {
    throw new EdgeHarmonyError("model", `${name} is damaged or no ONNX model`, "copy or download it again");
  }
  return notes;
}

/** Refuse a transform graph of another contract, or another graph. */
export function checkTransformGraph(notes: Map<string, string>, name: string): void {
  const version = notes.get("edge_harmony.contract");
  if (version !== String(CONTRACT_VERSION)) {
    throw new EdgeHarmonyError(
      "model",
      version ? `${name} is of contract version ${version}, not ${CONTRACT_VERSION}` : `${name} says no contract version`,
      "use a model that python -m export.to_onnx of this version wrote",
    );
  }
  const graph = notes.get("edge_harmony.graph");
  if (graph !== "transform") {
    throw new EdgeHarmonyError("model", `${name} is the ${graph} graph`, "use the transform graph: base.onnx, not base_frame.onnx");
  }
}

/** The fields of a protobuf message that hold bytes; numbers are passed over. */
function* fields(message: Uint8Array): Generator<[number, Uint8Array]> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      if (at >= message.length || factor > 2 ** 63) throw new RangeError("cut short");
      const byte = message[at];
      at += 1;
      value += (byte % 128) * factor;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const key = varint();
    const kind = key % 8;
    if (kind === 0) varint();
    else if (kind === 1) at += 8;
    else if (kind === 5) at += 4;
    else if (kind === 2) {
      const length = varint();
      if (at + length > message.length) throw new RangeError("cut short");
      yield [Math.floor(key / 8), message.subarray(at, at + length)];
      at += length;
    } else throw new RangeError("no protobuf");
  }
}
