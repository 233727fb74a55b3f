/** The whole learning switch on a datapath of dummy ports: what it learns, installs, forwards and forgets. */

import { FP_CREATE } from '@etherloom/core';
import { parseActions, parseFlowKey } from '@etherloom/odp-codec';
import { arp, ethernet, hex, ipv4, udp } from '@etherloom/testkit';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { BROADCAST, frame, host, SwitchBench } from './switch-bench.js';

const A = host(0xa);
const B = host(0xb);
const ALL = [0, 1, 2, 3];

let bench: SwitchBench;
afterEach(() => bench.close());

/** Ports that sent something. */
const leftBy = (ports = ALL): number[] => Object.keys(bench.left(ports)).map(Number);

describe('forwarding', () => {
  it('floods a packet to a stranger, delivers the answer to one port, and installs both', async () => {
    bench = await SwitchBench.create(3);
    const question = frame(A, B, 1);
    await bench.arrive(1, question);
    expect(bench.left(ALL)).toEqual({ 0: [question], 2: [question], 3: [question] });
    const answer = frame(B, A, 2);
    await bench.arrive(2, answer);
    expect(bench.left(ALL)).toEqual({ 1: [answer] });
    // Learning B removed the flood flow: the next question goes to B alone.
    await bench.arrive(1, question);
    expect(bench.left(ALL)).toEqual({ 2: [question] });
    const { missed } = await bench.dpif.getDpStats();
    await bench.arrive(1, question, question);
    await bench.arrive(2, answer);
    expect(bench.left(ALL)).toEqual({ 1: [answer], 2: [question, question] });
    expect((await bench.dpif.getDpStats()).missed).toBe(missed);
  });

  it('needs four flows for two hosts, however many connections they open', async () => {
    bench = await SwitchBench.create(2);
    await bench.arrive(
      1,
      ethernet({ src: A, dst: BROADCAST }, arp({ op: 1, sha: A, spa: '10.0.0.1', tpa: '10.0.0.2' })),
    );
    await bench.arrive(
      2,
      ethernet({ src: B, dst: BROADCAST }, arp({ op: 1, sha: B, spa: '10.0.0.2', tpa: '10.0.0.1' })),
    );
    for (let port = 1; port <= 40; port++) {
      const there = ipv4(
        { src: '10.0.0.1', dst: '10.0.0.2' },
        udp({ src: port, dst: 53 }, new Uint8Array(20)),
      );
      const back = ipv4(
        { src: '10.0.0.2', dst: '10.0.0.1' },
        udp({ src: 53, dst: port }, new Uint8Array(20)),
      );
      await bench.arrive(1, ethernet({ src: A, dst: B }, there));
      await bench.arrive(2, ethernet({ src: B, dst: A }, back));
    }
    const left = bench.left([1, 2]);
    expect([left[1]?.length, left[2]?.length]).toEqual([41, 41]);
    expect(Object.values(await bench.flows()).sort()).toEqual(['0,1', '0,2', '1', '2']);
  });

  it('needs one flow for all that a host says to everybody', async () => {
    bench = await SwitchBench.create(2);
    const groups = [BROADCAST, '33:33:00:00:00:16', '33:33:ff:00:00:0b', '33:33:00:00:00:fb'];
    for (const group of groups) await bench.arrive(1, frame(A, group));
    expect(bench.left([2])[2]).toHaveLength(4);
    expect(Object.keys(await bench.flows())).toHaveLength(1);
    // The reserved groups are not among them, and IPv4 multicast is told apart from those in full.
    await bench.arrive(1, frame(A, '01:80:c2:00:00:0e'), frame(A, '01:00:5e:00:00:fb'));
    expect(bench.left([2])[2]).toHaveLength(1);
    expect(Object.values(await bench.flows()).sort()).toEqual(['0,2', '0,2', 'drop']);
  });

  it('matches nothing but input port, addresses and VLAN', async () => {
    bench = await SwitchBench.create(2);
    await bench.arrive(1, frame(A, BROADCAST, 0, [{ vid: 5, pcp: 3 }]));
    // Another priority, another protocol: the same flow.
    await bench.arrive(
      1,
      ethernet(
        { src: A, dst: BROADCAST, vlans: [{ vid: 5 }] },
        arp({ op: 1, spa: '1.1.1.1', tpa: '1.1.1.2' }),
      ),
    );
    await bench.arrive(1, frame(A, BROADCAST));
    expect((await bench.dpif.getDpStats()).missed).toBe(2);
    const matches = Object.keys(await bench.flows());
    expect(matches.find((match) => match.includes('vlan'))).toMatch(
      /^recirc_id\(0\),in_port\(1\),eth\(src=02:00:00:00:00:0a,dst=ff:ff:ff:ff:ff:ff\/03:00:00:00:00:00\),eth_type\(0x8100\),vlan\(vid=5,pcp=3\/0x0\),encap\(\)$/,
    );
    expect(matches.join()).not.toMatch(/ipv4|arp/);
  });

  it('keeps 802.2 frames apart from Ethernet II frames', async () => {
    bench = await SwitchBench.create(2);
    const llc = frame(A, B, 7);
    llc.set([0, 46], 12);
    await bench.arrive(1, llc, frame(A, B));
    expect(bench.left([2])[2]).toHaveLength(2);
    await bench.arrive(1, llc, frame(A, B));
    expect((await bench.dpif.getDpStats()).missed).toBe(2);
  });

  it('drops, with a flow, what is for its own segment or for the link only', async () => {
    bench = await SwitchBench.create(3);
    await bench.arrive(1, frame(A, B), frame(B, A));
    leftBy();
    await bench.arrive(1, frame(A, B), frame(A, '01:80:c2:00:00:00'));
    await bench.arrive(1, frame(A, B), frame(A, '01:80:c2:00:00:00'));
    expect(leftBy()).toEqual([]);
    expect(Object.values(await bench.flows()).filter((actions) => actions === 'drop')).toHaveLength(3);
  });

  it('separates VLANs, and takes priority-tagged packets as untagged ones', async () => {
    bench = await SwitchBench.create(3);
    await bench.arrive(1, frame(A, BROADCAST, 0, [{ vid: 5 }]));
    await bench.arrive(3, frame(A, BROADCAST, 0, [{ vid: 0, pcp: 6 }]));
    leftBy();
    await bench.arrive(2, frame(B, A, 0, [{ vid: 5 }]));
    expect(leftBy()).toEqual([1]);
    await bench.arrive(2, frame(B, A));
    expect(leftBy()).toEqual([3]);
    await bench.arrive(2, frame(B, A, 0, [{ vid: 6 }]));
    expect(leftBy()).toEqual([0, 1, 3]);
  });

  it('never learns a group address, and forwards packets that claim one as their source', async () => {
    bench = await SwitchBench.create(3);
    await bench.arrive(1, frame('03:00:00:00:00:01', A));
    expect(leftBy()).toEqual([0, 2, 3]);
    expect(bench.learning.stations()).toEqual([]);
  });

  it('forwards whatever is behind the addresses, with flows that the datapath takes', async () => {
    const warnings: string[] = [];
    bench = await SwitchBench.create(2, {}, (message) => warnings.push(message));
    const types = [0x8100, 0x88a8, 0x0800, 0x86dd, 0x0806, 0x8847, 0x894f, 0x0020, 0x1234];
    const type = fc.constantFrom(...types);
    const bytes = fc.uint8Array({ maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(type, type, fc.boolean(), bytes), { maxLength: 20 }),
        async (tails) => {
          const frames = tails.map(([outer, inner, tagged, tail]) => {
            const tag = tagged ? [0x30, 0x05, inner >> 8, inner & 0xff] : [];
            return Uint8Array.from([
              2,
              0,
              0,
              0,
              0,
              0xb,
              2,
              0,
              0,
              0,
              0,
              0xa,
              outer >> 8,
              outer & 0xff,
              ...tag,
              ...tail,
            ]);
          });
          await bench.arrive(1, ...frames);
          // Packets that hit a flow overtake those that had to come up.
          expect((bench.left([2])[2] ?? []).map(hex).sort()).toEqual(frames.map(hex).sort());
        },
      ),
    );
    expect(warnings).toEqual([]);
  });

  it('loses nothing of a burst of strangers', async () => {
    bench = await SwitchBench.create(2);
    const burst = Array.from({ length: 100 }, (_, i) => frame(host(i), host(i + 100), i));
    await bench.arrive(1, ...burst);
    await bench.settle();
    expect(bench.left([2])[2]).toEqual(burst);
  });

  it('delivers to just the ports that a plain model of a switch says', async () => {
    bench = await SwitchBench.create(3);
    const step = fc.record({
      port: fc.integer({ min: 1, max: 3 }),
      src: fc.nat(3),
      dst: fc.nat(4),
      vid: fc.nat(1),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
        await bench.learning.flush();
        await bench.settle();
        const places = new Map<string, number>();
        for (const { port, src, dst, vid } of steps) {
          const vlans = vid === 0 ? [] : [{ vid }];
          places.set(`${vid}/${src}`, port);
          const place = places.get(`${vid}/${dst}`);
          await bench.arrive(port, frame(host(src), dst === 4 ? BROADCAST : host(dst), 0, vlans));
          const others = ALL.filter((other) => other !== port);
          expect(leftBy()).toEqual(place === undefined ? others : others.filter((other) => other === place));
        }
      }),
      { numRuns: 40 },
    );
  });
});

describe('a station that moves', () => {
  it('is followed from its first packet on, and no flow of its old place stays', async () => {
    bench = await SwitchBench.create(3);
    await bench.arrive(1, frame(A, B));
    await bench.arrive(2, frame(B, A));
    await bench.arrive(1, frame(A, B));
    leftBy();
    await bench.arrive(3, frame(B, A));
    expect(leftBy()).toEqual([1]);
    await bench.arrive(1, frame(A, B));
    expect(leftBy()).toEqual([3]);
    const flows = Object.keys(await bench.flows());
    expect(flows.filter((match) => match.includes('in_port(2)'))).toEqual([]);
    expect(flows).toHaveLength(2);
    // And back.
    await bench.arrive(2, frame(B, A));
    await bench.arrive(1, frame(A, B));
    expect(bench.left(ALL)).toMatchObject({ 1: { length: 1 }, 2: { length: 1 } });
  });
});

describe('ageing', () => {
  it('deletes idle flows, keeps used ones, and forgets silent stations with the flows toward them', async () => {
    bench = await SwitchBench.create(2, { macAge: 60, maxIdle: 10 });
    await bench.arrive(1, frame(A, B));
    await bench.arrive(2, frame(B, A));
    await bench.arrive(1, frame(A, B));
    for (let seconds = 0; seconds < 100; seconds += 5) {
      bench.now += 5000;
      // Only A talks: its flow is hit, and B is silent.
      await bench.arrive(1, frame(A, B));
      await bench.learning.sweep();
    }
    expect(bench.learning.stations().map(({ entry }) => entry.port)).toEqual([1]);
    // B was forgotten after 60 seconds, so the flow toward it floods again.
    expect(Object.values(await bench.flows())).toEqual(['0,2']);
    bench.now += 10_001;
    await bench.learning.sweep();
    expect(await bench.flows()).toEqual({});
  });

  it('leaves flows of others alone', async () => {
    bench = await SwitchBench.create(2);
    const { key, mask } = parseFlowKey(
      'in_port(1),eth(src=02:00:00:00:00:0a,dst=02:00:00:00:00:0b),eth_type(0x88b5)',
    );
    await bench.dpif.flowPut({ flags: FP_CREATE, key, mask, actions: parseActions('drop') });
    await bench.arrive(1, frame(A, B));
    bench.now += 100_000;
    await bench.learning.sweep();
    await bench.learning.flush();
    expect(Object.values(await bench.flows())).toEqual(['drop']);
    expect(leftBy([0, 1, 2])).toEqual([]);
  });

  it('puts flows again that somebody deleted', async () => {
    bench = await SwitchBench.create(2);
    await bench.arrive(1, frame(A, B));
    await bench.dpif.flowFlush();
    await bench.arrive(1, frame(A, B));
    expect(bench.left([2])[2]).toHaveLength(2);
    expect(Object.values(await bench.flows())).toEqual(['0,2']);
  });

  it('stops installing at the flow limit, and forwards on', async () => {
    bench = await SwitchBench.create(2, { maxFlows: 3 });
    for (let i = 0; i < 10; i++) await bench.arrive(1, frame(host(i), BROADCAST));
    expect(bench.left([2])[2]).toHaveLength(10);
    expect(Object.keys(await bench.flows())).toHaveLength(3);
  });
});

describe('ports', () => {
  it('that come are flooded to; those that go take their stations and flows along', async () => {
    bench = await SwitchBench.create(2);
    await bench.arrive(1, frame(A, B));
    await bench.addPort(3);
    await bench.settle();
    await bench.arrive(1, frame(A, B));
    expect(leftBy()).toEqual([0, 2, 3]);
    await bench.arrive(3, frame(B, A));
    await bench.arrive(1, frame(A, B));
    expect(leftBy()).toEqual([1, 3]);
    await bench.dpif.portDel(3);
    await bench.settle();
    expect(bench.learning.stations().map(({ entry }) => entry.port)).toEqual([1]);
    expect(await bench.flows()).toEqual({});
    await bench.arrive(1, frame(A, B));
    expect(leftBy([0, 1, 2])).toEqual([0, 2]);
  });
});
