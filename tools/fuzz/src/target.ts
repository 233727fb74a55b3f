/** What a fuzz target is: the parts that its inputs are made of, where seeds come from, and what must hold for all. */

/** How a part is mutated: `knobs` are bytes whose number stays, since each of them is a setting of the run. */
export type PartKind = 'netlink' | 'text' | 'bytes' | 'knobs';

export interface Part {
  readonly name: string;
  readonly kind: PartKind;
  /** Most bytes; text counts in UTF-8. Of knobs, their number. */
  readonly maxLength: number;
}

/** One byte string for each part of the target; text as UTF-8. Never changed once made. */
export type Input = readonly Uint8Array[];

/** A record of a vector file, unchecked. */
export type VectorRecord = Readonly<Record<string, unknown>>;

/** Reads the records of one of the project's vector files, such as `keys`. */
export type ReadVectors = (name: string) => readonly VectorRecord[];

export interface Target {
  readonly parts: readonly Part[];
  /** Inputs made of the project's vectors. */
  seeds(read: ReadVectors): Input[];
  /** Throws, a {@link Violation} or whatever the code threw, when `input` is a finding. */
  run(input: Input): void;
}

/** A property that must hold for every input, broken by one. */
export class Violation extends Error {
  override readonly name = 'Violation';
  /** One sentence without data: the same for every input that breaks it. */
  readonly property: string;

  constructor(property: string, details: string) {
    super(`${property}\n${details}`);
    this.property = property;
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export const textOf = (bytes: Uint8Array): string => decoder.decode(bytes);
export const bytesOfText = (text: string): Uint8Array => encoder.encode(text);

/** Lower-case hexadecimal without separators. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}

export const fromHex = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'));

/** The input for people: text as a JSON string, everything else as hexadecimal. */
export function describeInput(parts: readonly Part[], input: Input): string {
  return parts
    .map(({ name, kind }, i) => {
      const bytes = input[i]!;
      return `${name} = ${kind === 'text' ? JSON.stringify(textOf(bytes)) : `${toHex(bytes)} (${bytes.length} bytes)`}`;
    })
    .join('\n');
}
