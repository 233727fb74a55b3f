/** The capture file reader against bytes laid out by hand from the format's description, and the writer against it. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readPcap } from '@etherloom/core';
import { hex, pattern, unhex } from '@etherloom/testkit';
import { expect, test } from 'vitest';
import { PcapWriter } from '../src/index.js';

const little = (magic: string): string => `${magic} 0200 0400 00000000 00000000 00000400 01000000`;
const record = '01000000 02000000 03000000 04000000 aabbcc';
const bigEndian =
  'a1b2c3d4 0002 0004 00000000 00000000 00040000 00000001 00000001 00000002 00000003 00000004 aabbcc';

test.each([
  ['little-endian microseconds', `${little('d4c3b2a1')} ${record}`, 2000],
  ['little-endian nanoseconds', `${little('4d3cb2a1')} ${record}`, 2],
  ['big-endian microseconds', bigEndian, 2000],
  ['big-endian nanoseconds', bigEndian.replace('a1b2c3d4', 'a1b23c4d'), 2],
])('reads %s', (_, text, nanoseconds) => {
  const records = readPcap(unhex(text));
  expect(records).toEqual([{ data: unhex('aabbcc'), originalLength: 4, seconds: 1, nanoseconds }]);
});

test.each([
  ['', '0 bytes are no pcap file'],
  ['00'.repeat(24), '0x00000000 at offset 0 is not the magic number'],
  [`0a0d0d0a${'00'.repeat(24)}`, 'editcap -F pcap'],
  [little('d4c3b2a1').replace(/01000000$/, '71000000'), 'link type 113 at offset 20 is not Ethernet (1)'],
  [little('d4c3b2a1').replace('0200', '0300'), 'version 3 at offset 4'],
  [`${little('d4c3b2a1')} ${record} ffff`, 'ends inside the record that starts at offset 43'],
  [`${little('d4c3b2a1')} ${record} ${record.slice(0, -2)}`, 'offset 43 and has 3 bytes'],
  [`${little('d4c3b2a1')} ${'00'.repeat(8)} ffffff7f ffffff7f`, 'offset 24 claims 2147483647 bytes'],
])('refuses %s', (text, message) => {
  expect(() => readPcap(unhex(text), 'FILE')).toThrow(message);
});

test('what the writer wrote is read back, with the time of writing', () => {
  const folder = mkdtempSync(join(tmpdir(), 'etherloom-pcap-'));
  try {
    const path = join(folder, 'out.pcap');
    const before = Date.now() / 1000;
    const writer = new PcapWriter(path);
    writer.write([pattern(14), pattern(65_535)]);
    writer.write([]);
    writer.write([pattern(60)]);
    const file = readFileSync(path);
    expect(hex(file.subarray(0, 24))).toBe(hex(unhex(little('d4c3b2a1'))));
    const records = readPcap(file);
    expect(records.map(({ data }) => data.length)).toEqual([14, 65_535, 60]);
    expect(hex(records[1]?.data ?? new Uint8Array())).toBe(hex(pattern(65_535)));
    const time = (records[2]?.seconds ?? 0) + (records[2]?.nanoseconds ?? 0) / 1e9;
    expect(Math.abs(time - before)).toBeLessThan(10);
    writer.close();
    writer.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});
