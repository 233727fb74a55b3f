/** Spare writers: a new one costs as much as writing a whole key into it (0.3 us). */
import { NlWriter } from './netlink.js';

/** More than one only where encodings nest, as when a callback of a parse encodes something itself. */
const spare: NlWriter[] = [];

/** An empty writer for the caller alone. Give it back by {@link finishWriter}, or leave it to the garbage collector. */
export const borrowWriter = (): NlWriter => spare.pop()?.clear() ?? new NlWriter();

/** Returns what `writer` wrote and takes the writer back. */
export function finishWriter(writer: NlWriter): Uint8Array {
  const bytes = writer.finish();
  spare.push(writer);
  return bytes;
}
