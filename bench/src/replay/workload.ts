/** What a datapath is measured with: captures that its input ports replay without end, and the flows that it has. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { composePacket } from '@etherloom/core';
import { PcapWriter } from '@etherloom/netdev-dummy';
import { KEY_WORDS, keyToFlow, parseFlowKey, W_NW_DST, W_NW_SRC, W_TP } from '@etherloom/odp-codec';

/** Stand for port numbers in flows: `@1`, `@2`... for the input ports in order, and this. */
export const OUT = '@out';

export interface FlowLine {
  /** As `dpctl/add-flow` takes it, in one word. */
  readonly flow: string;
  readonly actions: string;
}

export interface Workload {
  /** Capture files, one per input port. */
  readonly captures: readonly string[];
  readonly flows: readonly FlowLine[];
}

/** Addresses and ports of a frame. */
export interface Tuple {
  readonly source: number;
  readonly target: number;
  readonly sourcePort: number;
  readonly targetPort: number;
}

/** The Ethernet part of all frames, and of all flows. */
export const ETHERNET = 'eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800)';
const FRAME = `in_port(0),${ETHERNET},ipv4(src=0.0.0.0,dst=0.0.0.0,proto=17,tos=0,ttl=64,frag=no),udp(src=0,dst=0)`;
/** Ethernet, IPv4 and UDP headers leave this of a 64-byte frame without its checksum. */
const PAYLOAD = 60 - 42;

/** A frame of 60 bytes (64 with its checksum), UDP over IPv4. */
export function frameOf(): (tuple: Tuple) => Uint8Array {
  const words = new Int32Array(KEY_WORDS);
  keyToFlow(parseFlowKey(FRAME).key, words);
  return ({ source, target, sourcePort, targetPort }) => {
    words[W_NW_SRC] = source;
    words[W_NW_DST] = target;
    words[W_TP] = (sourcePort << 16) | targetPort;
    return composePacket(words, { payloadLength: PAYLOAD });
  };
}

/** Five-tuple `i` of many, all between the same two subnets. */
export const tupleOf = (i: number): Tuple => ({
  source: 0x0a000000 + (i >> 14),
  target: 0x0a010001,
  sourcePort: 1000 + (i & 0x3fff),
  targetPort: 2000,
});

/** Writes one capture a port of at most `perPort` frames each; returns their files. */
export function writeCaptures(folder: string, frames: readonly Uint8Array[], perPort: number): string[] {
  const files: string[] = [];
  for (let at = 0; at < frames.length; at += perPort) {
    const file = join(folder, `${files.length + 1}.pcap`);
    const pcap = new PcapWriter(file);
    pcap.write(frames.slice(at, at + perPort));
    pcap.close();
    files.push(file);
  }
  return files;
}

/** The same order every time, with nothing regular about it. */
export function shuffle<T>(items: T[]): T[] {
  let state = 0x2545f491;
  for (let i = items.length - 1; i > 0; i--) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    const other = (state >>> 0) % (i + 1);
    const item = items[i]!;
    items[i] = items[other]!;
    items[other] = item;
  }
  return items;
}

/** Writes the flows as `dpctl/add-flows` reads them, with port numbers for what stands for them. */
export function writeFlows(
  file: string,
  flows: readonly FlowLine[],
  inPorts: readonly number[],
  out: number,
  actions?: string,
): void {
  const ports = (text: string): string =>
    text.replaceAll(OUT, String(out)).replace(/@(\d+)/g, (_, n: string) => String(inPorts[Number(n) - 1]));
  writeFileSync(
    file,
    flows.map((line) => `${ports(line.flow)} ${ports(actions ?? line.actions)}\n`).join(''),
  );
}
