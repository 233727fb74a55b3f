/** Keys of packets as text for people: in short, and what differs between two of them. */

/** The parts of a list, at commas outside of parentheses. */
function parts(text: string): string[] {
  const found: string[] = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i <= text.length; i++) {
    const char = text[i];
    if (char === '(') depth++;
    else if (char === ')') depth--;
    else if (char === undefined || (char === ',' && depth === 0)) {
      if (i > start) found.push(text.slice(start, i));
      start = i + 1;
    }
  }
  return found;
}

/** The attributes of a key; what is behind a tag stands among them, so that a tag more or less is one difference. */
function attributes(text: string): string[] {
  return parts(text).flatMap((part) =>
    part.startsWith('encap(') ? attributes(part.slice('encap('.length, -1)) : [part],
  );
}

/** Metadata that most packets do not have. */
const NOTHING = new Set([
  'recirc_id(0)',
  'dp_hash(0)',
  'skb_priority(0)',
  'skb_mark(0)',
  'ct_state(0)',
  'ct_zone(0)',
  'ct_mark(0)',
  'ct_label(0)',
  'packet_type(ns=0,id=0)',
]);

/** A key without the metadata that the packet does not have. */
export const shortKey = (text: string): string =>
  parts(text)
    .filter((part) => !NOTHING.has(part))
    .join();

const nameOf = (attribute: string): string => attribute.slice(0, attribute.indexOf('(') + 1);
const insideOf = (attribute: string): string[] => parts(attribute.slice(nameOf(attribute).length, -1));

/** Takes what both lists hold out of `list`, one for one. */
function without(list: readonly string[], other: readonly string[]): string[] {
  const rest = [...other];
  return list.filter((item) => {
    const at = rest.indexOf(item);
    if (at >= 0) rest.splice(at, 1);
    return at < 0;
  });
}

/** Lines such as `ipv4(ttl=64) -> ipv4(ttl=63)`, `+ vlan(vid=5,pcp=0)` and `- eth_type(0x8100)`. */
export function changedAttributes(before: string, after: string): string[] {
  const [from, to] = [attributes(before), attributes(after)];
  const removed = without(from, to);
  const added = without(to, from);
  const lines: string[] = [];
  for (const old of removed) {
    const name = nameOf(old);
    const at = added.findIndex((attribute) => nameOf(attribute) === name);
    const now = at < 0 ? undefined : added.splice(at, 1)[0]!;
    lines.push(now === undefined ? `- ${old}` : difference(name, old, now));
  }
  return [...lines, ...added.map((attribute) => `+ ${attribute}`)];
}

function difference(name: string, old: string, now: string): string {
  const [from, to] = [insideOf(old), insideOf(now)];
  return `${name}${without(from, to).join()}) -> ${name}${without(to, from).join()})`;
}
