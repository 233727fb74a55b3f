/** Cases for frames that are not delivered: which ones, and under which reason they are counted. */

import assert from 'node:assert/strict';
import { DROP_NO_FRAME, DROP_RX_OVERSIZE, DROP_RX_RUNT, MAX_PACKET } from '@etherloom/core';
import type { CaseDefinition } from './define.js';
import { arrive, ETH_HEADER, eventually, frameOf, sameFrames, wired } from './tools.js';

export const dropCases: readonly CaseDefinition[] = [
  {
    name: 'a frame longer than the MTU allows is dropped as too big, VLAN tags do not count',
    cites: 'Netdev.getMtu: "the longest frame is this plus 14, plus 4 per VLAN tag"; drops.ts, tx_too_big',
    run: (fixture) =>
      wired(fixture, async ({ ref, far, port }) => {
        const longest = (await ref.netdev.getMtu()) + ETH_HEADER;
        const good = [frameOf(longest, 1), frameOf(longest + 4, 2, 1)];
        const bad = [frameOf(longest + 1, 3), frameOf(longest + 5, 4, 1), frameOf(longest + 4, 5)];
        const [first, second] = good;
        assert.ok(first !== undefined && second !== undefined);
        assert.equal(port.transmit([...bad, first, ...bad, second]), good.length);
        assert.deepEqual(port.dropped(), { tx_too_big: 2 * bad.length });
        sameFrames(await arrive(far, good.length), good);
      }),
  },
  {
    name: 'a changed MTU is in force for the next burst',
    cites: 'Netdev.setMtu; drops.ts, tx_too_big',
    needs: 'set-mtu',
    run: (fixture) =>
      wired(fixture, async ({ ref, far, port }) => {
        await ref.netdev.setMtu(1000);
        assert.equal(port.transmit([frameOf(1015), frameOf(1014)]), 1);
        await ref.netdev.setMtu(1500);
        assert.equal(port.transmit([frameOf(1015)]), 1);
        assert.deepEqual(port.dropped(), { tx_too_big: 1 });
        sameFrames(await arrive(far, 2), [frameOf(1014), frameOf(1015)]);
      }),
  },
  {
    name: 'a device that is down sends nothing, says so, and works when it is up again',
    cites: 'drops.ts, tx_down: "the output device is down"',
    needs: 'set-flags',
    run: (fixture) =>
      wired(fixture, async ({ ref, far, port }) => {
        await ref.netdev.setFlags({ up: false });
        assert.equal(port.transmit([frameOf(60), frameOf(61)]), 0);
        assert.deepEqual(port.dropped(), { tx_down: 2 });
        assert.equal(port.queue.rxBurst(port.batch), 0);
        await ref.netdev.setFlags({ up: true });
        await eventually('the device sends again', () => port.transmit([frameOf(62)]) === 1);
        sameFrames(await arrive(far, 1), [frameOf(62)]);
        await far.send([frameOf(63)]);
        sameFrames(await port.receive(1), [frameOf(63)]);
      }),
  },
  {
    name: 'a received frame without a whole Ethernet header is dropped as a runt',
    cites: 'drops.ts, rx_runt: "received frame is shorter than an Ethernet header (14 bytes)"',
    needs: 'rx-runt',
    run: (fixture) =>
      wired(fixture, async ({ far, port }) => {
        await far.send([...Array.from({ length: 14 }, (_, length) => frameOf(length)), frameOf(14)]);
        sameFrames(await port.receive(1), [frameOf(14)]);
        assert.equal(port.drops[DROP_RX_RUNT], 14);
      }),
  },
  {
    name: 'a received frame beyond 65,535 bytes is dropped as too long',
    cites: 'drops.ts, rx_oversize: "received frame is longer than the largest packet buffer"',
    needs: 'rx-oversize',
    run: (fixture) =>
      wired(fixture, async ({ far, port }) => {
        await far.send([frameOf(MAX_PACKET + 1), frameOf(60)]);
        sameFrames(await port.receive(1), [frameOf(60)]);
        assert.equal(port.drops[DROP_RX_OVERSIZE], 1);
      }),
  },
  {
    name: 'without free frames packets are dropped by reason, and reception goes on when there are some',
    cites:
      'drops.ts, no_frame: "no free packet buffer in the arena"; NetdevQueue: "No method throws, blocks or allocates."',
    run: (fixture) =>
      wired(
        fixture,
        async ({ far, port }) => {
          const taken: number[] = [];
          for (let at = port.pool.alloc(); at >= 0; at = port.pool.alloc()) taken.push(at);
          await far.send(Array.from({ length: 5 }, (_, i) => frameOf(60, i)));
          await eventually('five frames are dropped', () => {
            assert.equal(port.queue.rxBurst(port.batch), 0);
            return port.drops[DROP_NO_FRAME]! >= 5;
          });
          for (const at of taken) port.pool.release(at);
          await far.send([frameOf(61)]);
          sameFrames(await port.receive(1), [frameOf(61)]);
        },
        { frames: 16 },
      ),
  },
];
