/** The NSH attribute and the NSH words of a packed row. */
import { KEY_ATTR, NSH_ATTR } from '../key/attributes.js';
import { getBe32, putBe32 } from '../key/bytes.js';
import { nshLength } from '../key/nsh.js';
import { NlReader, type NlWriter } from '../netlink.js';
import { W_NSH, W_NSH_CONTEXT, W_NSH_PATH } from './fields.js';
import { type FitnessResult, failed } from './fitness.js';

const MDTYPE_1 = 1;
const reader = new NlReader(new Uint8Array(0));

/**
 * Reads the attribute in `bytes[start, end)` into the NSH words of the row at `base`. Undefined means good: metadata of
 * other types than 1, and unknown parts, are errors.
 */
export function nshToFlow(
  bytes: Uint8Array,
  start: number,
  end: number,
  words: Int32Array,
  base: number,
  isMask: boolean,
): FitnessResult | undefined {
  let context = false;
  reader.reset(bytes, start, end);
  while (reader.next()) {
    const { type, length, offset: at } = reader;
    const expected = nshLength(type);
    if (type !== NSH_ATTR.UNSPEC && expected !== length) {
      return failed(
        `nsh attribute ${type} of ${length} bytes is not one of base (1, 8 bytes) and context (2, 16 bytes)`,
      );
    }
    if (type === NSH_ATTR.BASE) {
      words[base + W_NSH] = getBe32(bytes, at);
      words[base + W_NSH_PATH] = getBe32(bytes, at + 4);
    } else if (type === NSH_ATTR.MD1) {
      context = true;
      for (let i = 0; i < 4; i++) words[base + W_NSH_CONTEXT + i] = getBe32(bytes, at + 4 * i);
    }
  }
  const mdtype = (words[base + W_NSH]! >>> 8) & 0xff;
  if (context && mdtype !== MDTYPE_1 && !isMask)
    return failed(`nsh has context words, but its mdtype is ${mdtype}`);
  return undefined;
}

/** Appends the attribute; the context words are in it for metadata type 1, and always in a mask. */
export function nshFromFlow(words: Int32Array, base: number, isMask: boolean, out: NlWriter): void {
  const mark = out.begin(KEY_ATTR.NSH);
  const head = out.reserve(NSH_ATTR.BASE, 8);
  putBe32(out.memory, head, words[base + W_NSH]!);
  putBe32(out.memory, head + 4, words[base + W_NSH_PATH]!);
  if (isMask || ((words[base + W_NSH]! >>> 8) & 0xff) === MDTYPE_1) {
    const at = out.reserve(NSH_ATTR.MD1, 16);
    for (let i = 0; i < 4; i++) putBe32(out.memory, at + 4 * i, words[base + W_NSH_CONTEXT + i]!);
  }
  out.end(mark);
}
