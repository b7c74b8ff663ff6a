/** What went wrong: the picture handed over, its alpha, a model file, a setting, or what this browser can do. */
export type Fault = "source" | "matte" | "model" | "config" | "backend";

/** Every error of this package. `message` says what is wrong, `hint` what to do about it. */
export class EdgeHarmonyError extends Error {
  override readonly name = "EdgeHarmonyError";

  constructor(
    readonly fault: Fault,
    message: string,
    readonly hint: string,
  ) {
    super(hint ? `${message} (${hint})` : message);
  }
}

/** A number within its range, or an error that names the setting. */
export function within(name: string, value: number, least: number, most: number): number {
  if (typeof value === "number" && value >= least && value <= most) return value;
  throw new EdgeHarmonyError("config", `${name} is ${String(value)}`, `use a number from ${least} to ${most}`);
}
