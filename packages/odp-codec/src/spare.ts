/**
 * Spare writers and scanners. A new one is memory outside V8's heap, which costs more (0.3 to 0.5 us) than writing a
 * whole key into it. There is more than one of a kind only where work nests, as when a callback of a parse, or a getter
 * of a model, uses this package itself. What an error keeps from coming back is merely lost.
 */
import { NlWriter } from './netlink.js';
import { Scanner } from './text/scanner.js';

const writers: NlWriter[] = [];
const scanners: Scanner[] = [];

/** A scanner with a longer text is not kept. */
const LONG_TEXT = 65_536;

/** An empty writer, for the caller alone. */
export const borrowWriter = (): NlWriter => writers.pop()?.clear() ?? new NlWriter();

/** Takes a writer back. The caller must not use it again, nor views of its memory. */
export function returnWriter(writer: NlWriter): void {
  writers.push(writer);
}

/** Returns what `writer` wrote and takes the writer back. */
export function finishWriter(writer: NlWriter): Uint8Array {
  const bytes = writer.finish();
  returnWriter(writer);
  return bytes;
}

/** A scanner at the start of `text`, for the caller alone. */
export const borrowScanner = (text: string): Scanner => scanners.pop()?.reset(text) ?? new Scanner(text);

/** Takes a scanner back. */
export function returnScanner(scan: Scanner): void {
  if (scan.text.length <= LONG_TEXT) scanners.push(scan);
}
