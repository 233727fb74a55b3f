/** What people see: drop reasons by name, in tables on a terminal and in Open vSwitch's layout elsewhere. */

import { expect, it } from 'vitest';
import { renderFdb, renderShow } from '../src/etherloom/render.js';
import type { DatapathView } from '../src/index.js';

const view: DatapathView = {
  name: 'netdev@br0',
  lookups: { hit: 5, missed: 2, lost: 1 },
  flows: 2,
  ports: [
    { number: 0, name: 'br0', type: 'internal', config: {}, drops: {}, stats: { rxPackets: 1 } },
    {
      number: 1,
      name: 'tap0',
      type: 'tap',
      config: { netns: 'h1' },
      drops: { rx_runt: 3, tx_down: 4 },
      stats: { rxPackets: 10, rxBytes: 600 },
    },
  ],
};
const terminal = { terminal: true, colour: false };
const pipe = { terminal: false, colour: false };

it('show prints the drop reasons under their port, and as sentences on a terminal', () => {
  expect(renderShow([view], false, pipe)).toBe(
    'netdev@br0:\n' +
      '  lookups: hit:5 missed:2 lost:1\n' +
      '  flows: 2\n' +
      '  port 0: br0 (internal)\n' +
      '  port 1: tap0 (tap: netns=h1)\n' +
      '    drops: rx_runt:3 tx_down:4\n',
  );
  const shown = renderShow([view], false, terminal);
  expect(shown).toMatch(/│ {2}1 │ tap0 │ tap {6}│ netns=h1 │ {9}10 │ {6}600 │ {10}\? │ {8}\? │ {5}7 │/);
  expect(shown).toContain(
    '  tap0: 3 x rx_runt (received frame is shorter than an Ethernet header (14 bytes))\n',
  );
  expect(shown).toContain('  tap0: 4 x tx_down (the output device is down)\n');
});

it('fdb prints names on a terminal, and numbers as Open vSwitch does elsewhere', () => {
  const entries = [
    { port: 0, name: 'br0', vlan: 0, mac: '02:00:00:00:00:01', age: 7 },
    { port: 12, name: 'tap0', vlan: 100, mac: '02:00:00:00:00:02', age: 250 },
  ];
  expect(renderFdb(entries, pipe)).toBe(
    ' port  VLAN  MAC                Age\n' +
      'LOCAL     0  02:00:00:00:00:01    7\n' +
      '   12   100  02:00:00:00:00:02  250\n',
  );
  expect(renderFdb(entries, terminal)).toMatch(/│ 12 │ tap0 │ {2}100 │ 02:00:00:00:00:02 │ 250 s │/);
});
