/** The MAC table: learning, moving, ageing, eviction, and the decision that rests on it. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DROP, decide, FLOOD } from '../src/learning/decision.js';
import { formatMac, isGroup, isReserved, macFromWords } from '../src/learning/mac.js';
import { MacTable } from '../src/learning/mac-table.js';

const mac = (text: string): number => Number.parseInt(text.replaceAll(':', ''), 16);

describe('MacTable', () => {
  it('tells a new station from a known one and from one that moved', () => {
    const table = new MacTable({ maxEntries: 8, maxAge: 1000 });
    expect(table.learn(0, 1, 5, 0)).toEqual({ kind: 'new' });
    expect(table.learn(0, 1, 5, 10)).toEqual({ kind: 'known' });
    expect(table.learn(7, 1, 6, 10)).toEqual({ kind: 'new' });
    expect(table.learn(0, 1, 6, 20)).toEqual({ kind: 'moved', oldPort: 5 });
    expect(table.lookup(0, 1)).toMatchObject({ port: 6, seen: 20 });
    expect(table.lookup(7, 1)).toMatchObject({ port: 6, seen: 10 });
    expect(table.lookup(1, 1)).toBeUndefined();
  });

  it('forgets stations that were silent too long, and keeps those whose flows are used', () => {
    const table = new MacTable({ maxEntries: 8, maxAge: 1000 });
    table.learn(0, 1, 5, 0);
    table.learn(0, 2, 5, 0);
    table.learn(0, 3, 5, 0);
    table.refresh(0, 2, 5, 900);
    // A flow from a port that the station has left says nothing about where it is now.
    table.refresh(0, 3, 4, 900);
    expect(table.expire(1000)).toEqual([]);
    expect(table.expire(1001).map((entry) => entry.mac)).toEqual([1, 3]);
    expect(table.size).toBe(1);
  });

  it('lets the port with the most stations pay when it is full', () => {
    const table = new MacTable({ maxEntries: 10, maxAge: 1000 });
    table.learn(0, 1000, 1, 0);
    for (let i = 0; i < 100; i++) table.learn(0, i, 2, i + 1);
    expect(table.size).toBe(10);
    expect(table.lookup(0, 1000)).toMatchObject({ port: 1 });
    expect(table.lookup(0, 99)).toBeDefined();
    expect(table.lookup(0, 90)).toBeUndefined();
  });

  it('agrees with a plain list of what happened', () => {
    const learn = fc.record({
      vlan: fc.nat(1),
      mac: fc.nat(5),
      port: fc.nat(3),
      // Whole seconds: what the table is exact to.
      step: fc.nat(400).map((seconds) => seconds * 1000),
      remove: fc.option(fc.nat(3), { freq: 8 }),
    });
    fc.assert(
      fc.property(fc.array(learn, { maxLength: 60 }), (events) => {
        const table = new MacTable({ maxEntries: 100, maxAge: 1_000_000 });
        const model = new Map<string, { port: number; seen: number }>();
        let now = 0;
        for (const event of events) {
          now += event.step;
          table.learn(event.vlan, event.mac, event.port, now);
          model.set(`${event.vlan}/${event.mac}`, { port: event.port, seen: now });
          if (event.remove !== null) table.removePort(event.remove);
          table.expire(now);
          for (const [key, { port, seen }] of model) {
            if (port === event.remove || now - seen > 1_000_000) model.delete(key);
          }
          const found = [...table.entries()].map((entry) => [
            `${entry.vlan}/${entry.mac}`,
            { port: entry.port, seen: entry.seen },
          ]);
          expect(new Map(found as [string, { port: number; seen: number }][])).toEqual(model);
          expect(table.size).toBe(model.size);
        }
      }),
    );
  });
});

describe('fixed entries', () => {
  it('neither move, age nor leave for others, and count apart from what is learned', () => {
    const table = new MacTable({ maxEntries: 2, maxAge: 1000 });
    table.learn(0, 1, 5, 0);
    table.fix(0, 1, 7, 0);
    expect(table.learn(0, 1, 5, 10)).toEqual({ kind: 'known' });
    expect(table.lookup(0, 1)).toMatchObject({ port: 7, fixed: true });
    expect(table.expire(1_000_000)).toEqual([]);
    table.learn(0, 2, 5, 1_000_000);
    expect(table.learn(0, 3, 5, 1_000_000)).toMatchObject({ evicted: { mac: 2 } });
    table.clear();
    expect([...table.entries()].map(({ mac }) => mac)).toEqual([1]);
    expect(table.counters).toEqual({ learned: 3, expired: 0, evicted: 1, moved: 0 });
    expect(table.removePort(7)).toHaveLength(1);
    expect(table.remove(0, 1)).toBeUndefined();
    expect(table.size).toBe(0);
  });
});

describe('addresses', () => {
  it('are numbers that keep all 48 bits', () => {
    expect(formatMac(macFromWords(0x1234fedc, 0xba987654 | 0))).toBe('fe:dc:ba:98:76:54');
    expect(isGroup(mac('ff:ff:ff:ff:ff:ff'))).toBe(true);
    expect(isGroup(mac('01:00:5e:00:00:01'))).toBe(true);
    expect(isGroup(mac('fe:ff:ff:ff:ff:ff'))).toBe(false);
  });

  it('are reserved where link-local protocols live', () => {
    for (const text of ['01:80:c2:00:00:00', '01:80:c2:00:00:0f', '01:00:0c:cc:cc:c7', '00:e0:2b:00:00:04']) {
      expect(isReserved(mac(text)), text).toBe(true);
    }
    for (const text of ['01:80:c2:00:00:10', '01:80:c1:ff:ff:ff', '01:00:0c:cc:cc:c8', 'ff:ff:ff:ff:ff:ff']) {
      expect(isReserved(mac(text)), text).toBe(false);
    }
  });
});

describe('decide', () => {
  const table = new MacTable({ maxEntries: 8, maxAge: 1000 });
  table.learn(5, mac('02:00:00:00:00:01'), 1, 0);
  const toward = (dst: string, inPort: number, vlan = 5) =>
    decide({ inPort, vlan, src: mac('02:00:00:00:00:99'), dst: mac(dst) }, table);

  it('forwards to where the receiver is, and never back', () => {
    expect(toward('02:00:00:00:00:01', 2)).toBe(1);
    expect(toward('02:00:00:00:00:01', 1)).toBe(DROP);
  });

  it('floods what it does not know, in that VLAN, and what is for a group', () => {
    expect(toward('02:00:00:00:00:02', 2)).toBe(FLOOD);
    expect(toward('02:00:00:00:00:01', 2, 6)).toBe(FLOOD);
    expect(toward('ff:ff:ff:ff:ff:ff', 2)).toBe(FLOOD);
    expect(toward('01:80:c2:00:00:0e', 2)).toBe(DROP);
  });
});
