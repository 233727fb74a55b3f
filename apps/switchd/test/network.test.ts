/** The whole thing on the kernel's network stack: hosts in namespaces, TAP ports, TCP and UDP through switchd. */

import { Netns, requirePrivileges, run } from '@etherloom/testkit';
import { afterEach, beforeEach, describe, expect, it, type TestContext } from 'vitest';
import { DaemonBench } from './daemon-bench.js';
import { program, TCP_SINK, tcpSource } from './traffic.js';

let bench: DaemonBench;
let hosts: Netns[];
beforeEach(() => {
  bench = new DaemonBench();
  hosts = [];
});
afterEach(async () => {
  await bench.close();
  await Promise.all(hosts.map((host) => host.remove()));
});

const tap = (n: number): string => `ets${process.pid % 10_000}t${n}`;
const address = (n: number): string => `10.77.0.${n}`;
const BRIDGE = `ets${process.pid % 10_000}`;

/** A switch with a TAP port into each of `count` new hosts, which have addresses 1, 2 ... */
async function network(context: TestContext, count: number, ...flags: string[]): Promise<void> {
  requirePrivileges(context, 'tun', 'netns');
  for (let n = 1; n <= count; n++) hosts.push(await Netns.create());
  const ports = hosts.flatMap((host, i) => ['--port', `${tap(i + 1)},type=tap,netns=${host.name}`]);
  await bench.running(...flags, '--datapath', BRIDGE, ...ports);
  for (const [i, host] of hosts.entries())
    await host.ip('addr', 'add', `${address(i + 1)}/24`, 'dev', tap(i + 1));
}

/** Prints each datagram; sends each line of standard input to the address that the line begins with. */
const UDP_PEER = `
  const socket = require('dgram').createSocket('udp4');
  socket.on('message', (message) => console.log(message.toString()));
  socket.bind(5002, () => console.log('ready'));
  require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
    const [to, text] = line.split(' ');
    socket.send(text, 5002, to);
  });`;

describe('hosts on TAP ports', () => {
  for (const flags of [[], ['--pmd-threads', '2']]) {
    const how = flags.length === 0 ? 'inline' : 'on two poll-mode threads';
    it(`exchange TCP without corruption over at most four flows between them, ${how}`, async (context) => {
      await network(context, 2, ...flags);
      const [one, two] = hosts as [Netns, Netns];
      const sink = program(two, TCP_SINK);
      expect(await sink.line()).toBe('ready');
      const source = program(one, tcpSource(address(2), 20 << 20));
      expect(await sink.line()).toBe(await source.line());
      // Port 0 is the switch's own TAP: what it floods is not between the two.
      const { flows } = JSON.parse((await bench.etherloom('dump-flows', '--json')).stdout);
      const between = flows.filter((flow: { match: string }) => !flow.match.includes('in_port(0)'));
      expect(between.length).toBeLessThanOrEqual(4);
      const { entries } = JSON.parse((await bench.etherloom('fdb', '--json')).stdout);
      expect(entries.map((entry: { name: string }) => entry.name)).toEqual(
        expect.arrayContaining([tap(1), tap(2)]),
      );
    }, 60_000);
  }

  it('keep their traffic when one moves to another port', async (context) => {
    await network(context, 3);
    const [one, two, three] = hosts as [Netns, Netns, Netns];
    const mac = '02:00:00:00:00:42';
    await two.ip('link', 'set', tap(2), 'address', mac);
    const peers = [one, two, three].map((host) => program(host, UDP_PEER));
    const [p1, p2, p3] = peers as [(typeof peers)[0], (typeof peers)[0], (typeof peers)[0]];
    for (const peer of peers) expect(await peer.line()).toBe('ready');
    p1.write(`${address(2)} to-the-old-place`);
    expect(await p2.line()).toBe('to-the-old-place');
    // Host 2 disappears from port 2 and comes up, same addresses, on port 3.
    await two.ip('link', 'set', tap(2), 'down');
    await three.ip('addr', 'flush', 'dev', tap(3));
    await three.ip('link', 'set', tap(3), 'address', mac);
    await three.ip('addr', 'add', `${address(2)}/24`, 'dev', tap(3));
    p3.write(`${address(1)} here-I-am`);
    expect(await p1.line()).toBe('here-I-am');
    for (let n = 0; n < 20; n++) p1.write(`${address(2)} after-${n}`);
    for (let n = 0; n < 20; n++) expect(await p3.line()).toBe(`after-${n}`);
    expect(p2.lines).toEqual([]);
    const { flows } = JSON.parse((await bench.etherloom('dump-flows', '--json')).stdout);
    const stale = flows.filter(
      ({ match, actions }: { match: string; actions: string }) =>
        (match.includes('in_port(2)') && match.includes(`src=${mac}`)) ||
        (match.includes(`dst=${mac})`) && actions === '2'),
    );
    expect(stale).toEqual([]);
  }, 60_000);
});

describe('a switchd that cannot open a port', () => {
  it('leaves no device behind, not those that it had made', async (context) => {
    requirePrivileges(context, 'tun', 'netns');
    const host = await Netns.create();
    hosts.push(host);
    const failed = bench.start(
      '--datapath',
      BRIDGE,
      '--port',
      `${tap(1)},type=tap,netns=${host.name}`,
      '--port',
      `${tap(2)},type=tap,netns=no-such-netns`,
    );
    const { code, stderr } = await failed.ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(/^switchd: datapath netdev@\S+ cannot be set up: [^\n]*no-such-netns[^\n]*\n$/);
    expect(await host.ip('-o', 'link')).not.toContain(tap(1));
    expect(await run('ip', ['-o', 'link'])).not.toContain(BRIDGE);
  });
});
