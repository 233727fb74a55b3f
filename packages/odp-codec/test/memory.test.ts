/** Results are the caller's: what the package encodes, parses or frees later never changes them. */
import { expect, test } from 'vitest';
import {
  encodeKey,
  flowToKey,
  formatFlowKey,
  KEY_WORDS,
  keyToFlow,
  NlWriter,
  parseActions,
  parseFlowKey,
  parseFlowKeyExact,
  parseFlowLine,
} from '../src/index.js';

const text = (port: number): string =>
  `in_port(${port}),eth(src=00:00:00:00:00:01,dst=00:00:00:00:00:02),eth_type(0x0800),` +
  `ipv4(src=10.0.0.1,dst=10.0.0.2,proto=6,tos=0,ttl=64,frag=no),tcp(src=${port},dst=1024)`;

test('each result keeps its bytes, whatever is made after it', () => {
  const row = new Int32Array(KEY_WORDS);
  const made: [key: Uint8Array, port: number][] = [];
  for (let port = 1; port <= 300; port++) {
    const { key } = parseFlowKey(text(port));
    expect(keyToFlow(key, row).fitness).toBe('perfect');
    made.push([key, port], [flowToKey(row), port]);
    made.push([
      encodeKey({ in_port: port, eth: { src: '00:00:00:00:00:01', dst: '00:00:00:00:00:02' } }),
      port,
    ]);
  }
  for (const [key, port] of made) expect(formatFlowKey(key)).toContain(`in_port(${port}),`);
  const shared = new Set(made.map(([key]) => key.buffer));
  // Keeping one key must not keep the memory of thousands.
  for (const buffer of shared) expect(buffer.byteLength).toBeLessThanOrEqual(8192);
});

test('a caller that transfers a buffer away does not break what comes after', () => {
  const first = parseFlowKeyExact(text(1));
  if (!(first.buffer instanceof ArrayBuffer)) throw new Error('the result is shared memory');
  structuredClone(first, { transfer: [first.buffer] });
  expect(first.length).toBe(0);
  expect(formatFlowKey(parseFlowKeyExact(text(2)))).toBe(text(2));
});

test('what a writer holds can be long, and grows in place', () => {
  const out = new NlWriter(1);
  for (let i = 0; i < 1000; i++) out.u32(3, i);
  const bytes = out.finish();
  expect(bytes.length).toBe(8000);
  out.clear().u8(1, 0x1ff);
  expect([...out.finish()]).toEqual([5, 0, 1, 0, 0xff, 0, 0, 0]);
  expect(bytes.subarray(-8)).toEqual(Uint8Array.of(8, 0, 3, 0, 0xe7, 3, 0, 0));
});

test('a callback of a parse may parse', () => {
  const portNumber = (name: string): number | undefined => {
    expect(parseFlowKeyExact(`skb_mark(${name.length})`).length).toBe(8);
    expect(() => parseFlowKeyExact('nonsense')).toThrow();
    expect(parseActions('1,2').length).toBe(16);
    return ['abc', 'vnet0'].includes(name) ? name.length : undefined;
  };
  const line =
    'skb_mark(0x7),in_port(abc),eth_type(0x1234), packets:1, bytes:2, used:never, actions:set(skb_mark(9)),vnet0,4';
  const { key, actions } = parseFlowLine(line, { portNumber });
  expect(formatFlowKey(key)).toBe('skb_mark(0x7),in_port(3),eth_type(0x1234)');
  expect(actions).toEqual(parseActions('set(skb_mark(9)),5,4'));
});
