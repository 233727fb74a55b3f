/** What users may write, and what the kernel may answer, whatever it is. Needs no privileges. */

import { type ErrnoCode, isDpifError } from '@etherloom/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { attributes, checkName, namespacePath, parseEtheraddr, Request } from '../src/index.js';
import { readLink } from '../src/link.js';
import { RtnetlinkError } from '../src/rtnetlink.js';

function codeOf(action: () => unknown): ErrnoCode | 'fine' {
  try {
    action();
    return 'fine';
  } catch (error) {
    if (isDpifError(error)) return error.code;
    throw error;
  }
}

test('device names are those that the kernel takes as they are', () => {
  expect(codeOf(() => checkName('tap0'))).toBe('fine');
  expect(codeOf(() => checkName('a'.repeat(15)))).toBe('fine');
  expect(codeOf(() => checkName('ä'.repeat(7)))).toBe('fine');
  expect(codeOf(() => checkName('a'.repeat(16)))).toBe('ENAMETOOLONG');
  expect(codeOf(() => checkName('ä'.repeat(8)))).toBe('ENAMETOOLONG');
  for (const name of ['', '.', '..', 'a b', 'a\tb', 'a/b', 'a:b', 'tap%d', 'a\0b']) {
    expect([name, codeOf(() => checkName(name))]).toEqual([name, 'EINVAL']);
  }
});

test('namespaces are names or paths, addresses those that a device can have', () => {
  expect(namespacePath('blue')).toBe('/run/netns/blue');
  expect(namespacePath('/proc/1/ns/net')).toBe('/proc/1/ns/net');
  for (const netns of ['', '.', '..', 'a/b', '/a\0b']) {
    expect([netns, codeOf(() => namespacePath(netns))]).toEqual([netns, 'EINVAL']);
  }
  expect(parseEtheraddr('02:AB:00:00:00:01')).toBe('02:ab:00:00:00:01');
  for (const address of ['', '02:00:00:00:00', '01:00:00:00:00:01', '00:00:00:00:00:00', '2:0:0:0:0:1']) {
    expect([address, codeOf(() => parseEtheraddr(address))]).toEqual([address, 'EINVAL']);
  }
});

test('attributes that were added are found again', () => {
  const payload = fc.uint8Array({ maxLength: 30 });
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.integer({ min: 1, max: 0x3fff }), { maxLength: 5 }),
      payload,
      (types, bytes) => {
        const request = new Request(18, 0, 16);
        for (const type of types) request.add(type, bytes);
        const whole = request.bytes();
        const found = attributes(new DataView(whole.buffer, 0, whole.length), 32);
        expect([...found.keys()]).toEqual(types);
        for (const view of found.values()) {
          expect(new Uint8Array(view.buffer, view.byteOffset, view.byteLength)).toEqual(bytes);
        }
      },
    ),
  );
});

test('an answer of any kind is a link or an error, never a crash', () => {
  const attribute = fc.record({
    // Those of links that are read.
    type: fc.constantFrom(1, 3, 4, 5, 18, 23, 30, 35, 37, 43, 50),
    payload: fc.oneof(fc.uint8Array({ maxLength: 8 }), fc.uint8Array({ minLength: 160, maxLength: 180 })),
  });
  const answer = fc.record({
    type: fc.constantFrom(16, 2),
    flags: fc.constantFrom(0, 0x100, 0x200, 0x300),
    body: fc.uint8Array({ maxLength: 24 }),
    attributes: fc.array(attribute, { maxLength: 8 }),
    cut: fc.nat(40),
  });
  let links = 0;
  fc.assert(
    fc.property(answer, ({ type, flags, body, attributes: added, cut }) => {
      const native = {
        rtnetlink: (_control: number, _request: Uint8Array, reply: Uint8Array): number => {
          const view = new DataView(reply.buffer);
          view.setUint16(4, type, true);
          view.setUint16(6, flags, true);
          reply.set(body, 16);
          // An Ethernet device.
          if (type === 16) view.setUint16(18, 1, true);
          let at = 32;
          for (const { type: which, payload } of added) {
            view.setUint16(at, 4 + payload.length, true);
            view.setUint16(at + 2, which, true);
            reply.set(payload, at + 4);
            at += 4 + ((payload.length + 3) & ~3);
          }
          return Math.max(0, at - (cut > 35 ? cut : 0));
        },
      };
      try {
        readLink(native, 0, 'eth0');
        links++;
      } catch (error) {
        if (!isDpifError(error)) expect(error).toBeInstanceOf(RtnetlinkError);
      }
    }),
    { numRuns: 10_000 },
  );
  expect(links).toBeGreaterThan(0);
});
