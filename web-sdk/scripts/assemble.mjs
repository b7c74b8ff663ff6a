// Puts beside the compiled modules what they load: the models, and for pages without a bundler ONNX Runtime's files.
import { copyFileSync, mkdirSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const sdk = dirname(dirname(fileURLToPath(import.meta.url)));
const parts = [
  [join(sdk, "..", "edge_harmony", "models"), "models", /^(base|nano|person)\.onnx$/],
  [
    join(sdk, "node_modules", "onnxruntime-web", "dist"),
    "ort",
    /^(ort\.(wasm|webgpu)\.bundle\.min\.mjs|ort-wasm-simd-threaded(\.asyncify)?\.(mjs|wasm))$/,
  ],
];
for (const [from, name, wanted] of parts) {
  const to = join(sdk, "dist", name);
  mkdirSync(to, { recursive: true });
  for (const file of readdirSync(from).filter((file) => wanted.test(file))) copyFileSync(join(from, file), join(to, file));
}
copyFileSync(join(sdk, "..", "LICENSE"), join(sdk, "dist", "LICENSE"));
