/**
 * Real TCP and UDP between hosts on TAP ports with their offloads: super-packets cross whole, through tags and rewritten
 * headers, and become plain packets where a port or an action needs those.
 */

import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import {
  type Dpif,
  DpifRegistry,
  FP_CREATE,
  type Netdev,
  type NetdevRef,
  NetdevRegistry,
} from '@etherloom/core';
import { DummyProvider } from '@etherloom/netdev-dummy';
import { TapProvider } from '@etherloom/netdev-tap';
import { parseActions, parseFlowKey } from '@etherloom/odp-codec';
import { checksum, concat, Netns, requirePrivileges } from '@etherloom/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createUserspaceProvider } from '../src/index.js';

const PEER = fileURLToPath(new URL('../../../scripts/lab/tcp-peer.mjs', import.meta.url));
const MB = 1_000_000;

let left: Netns;
let right: Netns;
let dpif: Dpif;
let netdevs: NetdevRegistry;
const opened: NetdevRef[] = [];
const undo: (() => Promise<unknown>)[] = [];
const dummies = new DummyProvider();

beforeEach((context) => {
  requirePrivileges(context, 'tun', 'netns');
});

/** Hosts 10.1.0.1 and 10.1.0.2, fd00::1 and fd00::2 on ports 1 and 2, with these options. */
async function network(
  options: readonly [Record<string, string>, Record<string, string>] = [{}, {}],
): Promise<void> {
  left = await Netns.create();
  undo.push(() => left.remove());
  right = await Netns.create();
  undo.push(() => right.remove());
  netdevs = new NetdevRegistry();
  netdevs.register(new TapProvider());
  netdevs.register(dummies);
  const dpifs = new DpifRegistry();
  dpifs.register(
    createUserspaceProvider({ netdevs, portTypes: { internal: 'dummy' }, arena: { frames: 2048 } }),
  );
  dpif = await dpifs.create('br0', 'netdev');
  undo.push(() => dpif.close());
  undo.push(() => dpif.delete());
  for (const [i, host] of [left, right].entries()) {
    const name = `port${i + 1}`;
    await dpif.portAdd({ name, type: 'tap', config: { netns: host.name, ...options[i] } }, i + 1);
    await host.ip('addr', 'add', `10.1.0.${i + 1}/24`, 'dev', name);
    await host.ip('addr', 'add', `fd00::${i + 1}/64`, 'dev', name, 'nodad');
  }
}

afterEach(leave);

async function leave(): Promise<void> {
  for (const ref of opened.splice(0)) await ref.release();
  for (const step of undo.splice(0).reverse()) await step();
}

async function flow(key: string, actions: string): Promise<void> {
  await dpif.flowPut({ ...parseFlowKey(key), flags: FP_CREATE, actions: parseActions(actions) });
}

const ARP = 'eth_type(0x0806),arp(op=0/0)';
const IPV4 = 'eth_type(0x0800),ipv4(proto=0/0)';
const IPV6 = 'eth_type(0x86dd),ipv6(proto=0/0)';

/** What hosts say to each other goes through `actions`. */
async function from(portNo: number, actions: string, kinds = [ARP, IPV4, IPV6]): Promise<void> {
  for (const kind of kinds) await flow(`in_port(${portNo}),${kind}`, actions);
}

async function wire(): Promise<void> {
  await from(1, '2');
  await from(2, '1');
}

/** Sends `bytes` of random data over TCP; the far end's hash is the sender's. */
async function transfer(from: Netns, to: Netns, address: string, bytes: number, port = 5001): Promise<void> {
  const sink = to.spawn(process.execPath, [PEER, 'sink', '5001']);
  try {
    await once(sink.stdout!, 'data');
    const args = [PEER, 'source', address, String(port), String(bytes)];
    const result = JSON.parse(await from.run(process.execPath, args, { timeout: 60_000 }));
    expect(result).toMatchObject({ bytes, receivedBytes: bytes, received: result.sent });
  } finally {
    sink.kill();
  }
}

async function device(portNo: number): Promise<Netdev> {
  const { name, type } = await dpif.portQueryByNumber(portNo);
  const ref = await netdevs.open(name, type);
  opened.push(ref);
  return ref.netdev;
}

/** Mean length of what the device of a port sent. */
async function meanSent(portNo: number): Promise<number> {
  const { txBytes = 0, txPackets = 0 } = await (await device(portNo)).getStats();
  return txBytes / txPackets;
}

/** Drops besides what the hosts' kernels said before there were flows. */
async function dropped(portNo: number): Promise<Record<string, number>> {
  const { no_handler: _, ...others } = await dpif.portGetDrops(portNo);
  return others;
}

describe('TCP between TAP ports', () => {
  it('crosses in super-packets, both ways, over IPv4 and IPv6', async () => {
    await network();
    await wire();
    await transfer(left, right, '10.1.0.2', 100 * MB);
    expect(await meanSent(2)).toBeGreaterThan(10_000);
    await transfer(right, left, '10.1.0.1', 100 * MB);
    await transfer(left, right, 'fd00::2', 100 * MB);
    await transfer(right, left, 'fd00::1', 100 * MB);
    expect(await meanSent(1)).toBeGreaterThan(10_000);
  }, 120_000);

  it.each([
    ['the receiver', [{}, { offload: 'off' }]],
    ['the sender', [{ offload: 'off' }, {}]],
  ] as const)(
    'crosses when %s is without offloads',
    async (_, options) => {
      await network(options);
      await wire();
      await transfer(left, right, '10.1.0.2', 30 * MB);
      await transfer(left, right, 'fd00::2', 30 * MB);
      // Nothing that left on the port without offloads was longer than its MTU, so nothing was too long.
      expect(await dropped(1)).toEqual({});
      expect(await dropped(2)).toEqual({});
    },
    60_000,
  );

  it('crosses whole with a tag pushed on one way and popped on the way back', async () => {
    await network();
    // Between the hosts lies a bridge of the kernel with two more ports of the switch: tags stay on between those.
    const middle = await Netns.create();
    undo.push(() => middle.remove());
    await middle.ip('link', 'add', 'bridge', 'type', 'bridge', 'mcast_snooping', '0');
    for (const portNo of [3, 4]) {
      const name = `port${portNo}`;
      await dpif.portAdd({ name, type: 'tap', config: { netns: middle.name } }, portNo);
      await middle.ip('link', 'set', name, 'master', 'bridge');
    }
    await middle.ip('link', 'set', 'bridge', 'up');
    for (const [host, trunk] of [
      [1, 3],
      [2, 4],
    ] as const) {
      await from(host, `push_vlan(vid=5,pcp=0),${trunk}`);
      for (const kind of [ARP, IPV4, IPV6]) {
        await flow(
          `in_port(${trunk}),eth(),eth_type(0x8100),vlan(vid=5,pcp=0),encap(${kind})`,
          `pop_vlan,${host}`,
        );
      }
    }
    await transfer(left, right, '10.1.0.2', 50 * MB);
    await transfer(right, left, 'fd00::1', 50 * MB);
    for (const portNo of [1, 2, 3, 4]) expect(await meanSent(portNo)).toBeGreaterThan(5_000);
  }, 60_000);

  it('crosses whole with addresses and ports rewritten', async () => {
    await network();
    // The right host is 10.9.0.9 and fd09::9 to the left one, and listens on port 80.
    for (const [version, net, address, type, far] of [
      ['ipv4', '10.9.0.0/24', '10.9.0.9', '0x800', '10.1.0.2'],
      ['ipv6', 'fd09::/64', 'fd09::9', '0x86dd', 'fd00::2'],
    ] as const) {
      const mac = await (await device(2)).getEtheraddr();
      await left.ip('route', 'add', net, 'dev', 'port1');
      await left.ip('neigh', 'add', address, 'lladdr', mac, 'dev', 'port1');
      await flow(
        `in_port(1),eth_type(${type}),${version}(dst=${address},proto=6),tcp(dst=80)`,
        `set(${version}(dst=${far})),set(tcp(dst=5001)),2`,
      );
      await flow(
        `in_port(2),eth_type(${type}),${version}(proto=6),tcp(src=5001)`,
        `set(${version}(src=${address})),set(tcp(src=80)),1`,
      );
    }
    const neighbours = [ARP, 'eth_type(0x86dd),ipv6(proto=58),icmpv6(type=0/0)'];
    await from(1, '2', neighbours);
    await from(2, '1', neighbours);
    await transfer(left, right, '10.9.0.9', 50 * MB, 80);
    await transfer(left, right, 'fd09::9', 50 * MB, 80);
    expect(await meanSent(2)).toBeGreaterThan(10_000);
  }, 60_000);

  it('crosses in segments through labels', async () => {
    await network();
    const labels = 'push_mpls(label=7,tc=0,ttl=64,bos=1,eth_type=0x8847),pop_mpls(eth_type=0x800)';
    for (const portNo of [1, 2]) {
      await from(portNo, String(3 - portNo), [ARP]);
      await from(portNo, `${labels},${3 - portNo}`, [IPV4]);
    }
    await transfer(left, right, '10.1.0.2', 20 * MB);
    expect(await dropped(1)).toEqual({});
    expect(await meanSent(2)).toBeLessThan(1514);
  }, 60_000);

  it('is seen in plain packets by a port that takes no others, and by clients', async () => {
    await network();
    const monitor = await dpif.portAdd({ name: 'monitor', type: 'dummy', config: { capture: '20000' } });
    await dpif.recvSet(true);
    await from(1, `${monitor},2,userspace(pid=${await dpif.portGetPid(1)})`);
    await from(2, '1');
    await transfer(left, right, '10.1.0.2', 2 * MB);
    await dpif.recvSet(false);
    const seen = dummies.device('monitor')?.takeTransmitted() ?? [];
    const upcalls: Uint8Array[] = [];
    for (let upcall = await dpif.recv(0); upcall !== undefined; upcall = await dpif.recv(0)) {
      upcalls.push(upcall.packet);
    }
    const data = seen.filter(isTcp);
    expect(data.reduce((bytes, frame) => bytes + payloadOf(frame), 0)).toBeGreaterThanOrEqual(2 * MB);
    for (const frame of [...data, ...upcalls.filter(isTcp)]) {
      expect(frame.length).toBeLessThanOrEqual(1514);
      expect(tcpResidue(frame)).toBe(0);
    }
  }, 60_000);
});

describe('datagrams between TAP ports', () => {
  it('cross in fragments, and whole at an MTU of 9000', async () => {
    for (const mtu of ['1500', '9000']) {
      await network([{ mtu }, { mtu }]);
      await wire();
      expect(await datagram(left, right, '10.1.0.2', 20_000)).toBe(20_000);
      expect(await datagram(right, left, 'fd00::1', 8_000)).toBe(8_000);
      await transfer(left, right, '10.1.0.2', 20 * MB);
      await leave();
    }
  }, 60_000);
});

/** Sends one datagram of `bytes` until it is answered with its length; resolves to that. */
async function datagram(from: Netns, to: Netns, address: string, bytes: number): Promise<number> {
  const family = address.includes(':') ? 'udp6' : 'udp4';
  const echo = to.spawn(process.execPath, [
    '-e',
    `const s = require('dgram').createSocket('${family}');
     s.on('message', (m, { port, address }) => {
       const whole = m.every((byte, i) => byte === i % 251);
       s.send(String(whole ? m.length : -1), port, address);
     });
     s.bind(5002, () => console.log('ready'));`,
  ]);
  try {
    await once(echo.stdout!, 'data');
    const answer = await from.run(process.execPath, [
      '-e',
      `const s = require('dgram').createSocket('${family}');
       const message = Buffer.from(Array.from({ length: ${bytes} }, (_, i) => i % 251));
       const timer = setInterval(() => s.send(message, 5002, '${address}'), 200);
       s.on('message', (m) => { console.log(String(m)); clearInterval(timer); s.close(); });
       s.send(message, 5002, '${address}');`,
    ]);
    return Number(answer);
  } finally {
    echo.kill();
  }
}

const isTcp = (frame: Uint8Array): boolean =>
  frame[12] === 0x08 && frame[13] === 0x00 && frame[14] === 0x45 && frame[23] === 6;

/** Bytes behind the TCP header; padding does not come from a TAP. */
const payloadOf = (frame: Uint8Array): number => frame.length - 34 - (frame[46]! >> 4) * 4;

/** What is wrong with the TCP checksum of an IPv4 packet. */
function tcpResidue(frame: Uint8Array): number {
  const size = frame.length - 34;
  return checksum(
    concat(frame.subarray(26, 34), Uint8Array.of(0, 6, size >> 8, size & 0xff), frame.subarray(34)),
  );
}
