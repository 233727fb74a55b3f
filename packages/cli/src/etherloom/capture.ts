/** `etherloom capture`: packets that ports of a running datapath receive and send, as lines of text or as a capture file. */

import { open } from 'node:fs/promises';
import {
  type CapturedPacket,
  type CaptureOptions,
  type Dpif,
  extractFrame,
  LAYER_WORDS,
  type PacketCapture,
  pcapHeader,
  pcapRecords,
} from '@etherloom/core';
import { flowToKey, formatFlowKey, KEY_WORDS, OdpError, parseFlowKey, W_IN_PORT } from '@etherloom/odp-codec';
import { portNames, portNumber } from '../dpctl/flow-text.js';
import { shortKey } from '../dpctl/key-changes.js';
import { datapathNames, openNamed } from '../dpctl/open.js';
import type { Call, CliCommand } from './command.js';
import { CliError, EXIT_SERVER } from './errors.js';

/** Packets asked for at a time. */
const BATCH = 256;
const STDOUT = '-';

/** Where packets go. */
interface Writer {
  write(packets: readonly CapturedPacket[]): Promise<void>;
  close(): Promise<void>;
}

export const CAPTURE: CliCommand = {
  name: 'capture',
  usage: '[DATAPATH]',
  minArgs: 0,
  maxArgs: 1,
  datapaths: 'all',
  summary: 'packets as ports receive and send them, until it is interrupted',
  options: [
    { name: 'port', value: 'PORT', help: 'only packets of this port, by name or number' },
    {
      name: 'direction',
      value: 'in|out|both',
      help: 'only packets that ports receive, or send (default both)',
    },
    {
      name: 'flow',
      value: 'FLOW',
      help: 'only packets that this flow matches; its in_port is where they are seen',
    },
    { name: 'count', value: 'N', help: 'end after N packets' },
    { name: 'snaplen', value: 'BYTES', help: 'keep no more than so many bytes of each packet' },
    {
      name: 'write',
      short: 'w',
      value: 'FILE',
      help: 'write a pcap file with nanoseconds, "-" for standard output',
    },
  ],
  examples: [
    'etherloom capture br0 --port tap0',
    `etherloom capture --flow 'eth(),eth_type(0x0806),arp()' --count 10`,
    'etherloom capture br0 -w - | wireshark -k -i -',
  ],
  files: true,
  async run(call) {
    const dpif = await openNamed(call.session.context, await theDatapath(call));
    try {
      await captureFrom(call, dpif);
    } finally {
      await dpif.close();
    }
  },
};

/** The datapath that is meant: the one named, or the only one. */
async function theDatapath({ session, args }: Call): Promise<string> {
  if (args[0] !== undefined) return args[0];
  const [only, ...others] = await datapathNames(session.context.dpifs);
  if (only === undefined) throw new CliError('there is no datapath; "add-dp" makes one', EXIT_SERVER);
  if (others.length > 0)
    throw new CliError(`say which datapath is meant; there are ${[only, ...others].join(', ')}`);
  return only;
}

async function captureFrom(call: Call, dpif: Dpif): Promise<void> {
  const { options, streams } = call;
  const wanted = number(options, 'count') ?? Number.POSITIVE_INFINITY;
  const capture = await dpif.capture(await captureOptions(call, dpif));
  let count = 0;
  let missed = 0;
  try {
    const writer = await writerOf(call, dpif);
    try {
      count = await copy(capture, writer, wanted, streams.signal);
      ({ missed } = await capture.stop());
      // What it holds when it is interrupted was captured in time.
      count += await copy(capture, writer, wanted - count, undefined);
    } finally {
      await writer.close();
    }
  } finally {
    await capture.stop();
  }
  const lost = missed === 0 ? '' : `, ${missed} not captured: they came faster than they were read`;
  streams.error(`${count} packet${count === 1 ? '' : 's'} captured${lost}\n`);
}

/** Writes up to `wanted` packets until there are no more, which of a capture that runs is when `signal` aborts. */
async function copy(
  capture: PacketCapture,
  writer: Writer,
  wanted: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  let count = 0;
  while (count < wanted) {
    const packets = await capture.next(Math.min(wanted - count, BATCH), signal);
    if (packets.length === 0) break;
    count += packets.length;
    await writer.write(packets);
  }
  return count;
}

async function captureOptions({ options }: Call, dpif: Dpif): Promise<CaptureOptions> {
  const direction = options.get('direction') ?? 'both';
  if (direction !== 'in' && direction !== 'out' && direction !== 'both')
    throw new CliError(`--direction ${direction} is none; give in, out or both`);
  const snaplen = number(options, 'snaplen');
  const port = options.get('port');
  const flow = options.get('flow');
  try {
    return {
      ...(direction !== 'both' && { direction }),
      ...(snaplen !== undefined && { snaplen }),
      ...(port !== undefined && { port: await portNumber(dpif, port) }),
      ...(flow !== undefined && { filter: parseFlowKey(flow, await portNames(dpif)) }),
    };
  } catch (error) {
    if (!(error instanceof OdpError)) throw error;
    throw new CliError(`the flow "${flow}" cannot be read: ${error.message}`);
  }
}

function number(options: ReadonlyMap<string, string>, name: string): number | undefined {
  const text = options.get(name);
  if (text === undefined) return undefined;
  if (!/^\d{1,15}$/.test(text) || Number(text) < 1)
    throw new CliError(`--${name} ${text} is not a whole number from 1; give one`);
  return Number(text);
}

async function writerOf(call: Call, dpif: Dpif): Promise<Writer> {
  const { options, json, streams } = call;
  const path = options.get('write');
  if (path === undefined) return lines(call, dpif);
  if (json) throw new CliError('a capture file is no JSON; leave out --json or -w');
  if (path === STDOUT)
    return pcap(
      (bytes) => streams.out(bytes),
      async () => {},
    );
  const file = await written(path, open(path, 'w'));
  try {
    return await pcap(
      (bytes) => written(path, file.writeFile(bytes)),
      () => written(path, file.close()),
    );
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** What an operation on the capture file gives. Rejects with the reason when the system refuses it: a full disk, for one. */
async function written<T>(path: string, operation: Promise<T>): Promise<T> {
  try {
    return await operation;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CliError(`the capture file ${path} cannot be written: ${reason}`, EXIT_SERVER);
  }
}

/** The header leaves at once, so that a reader at the other end of a pipe knows what it reads. */
async function pcap(
  out: (bytes: Uint8Array) => void | Promise<void>,
  close: () => Promise<void>,
): Promise<Writer> {
  await out(pcapHeader('nanoseconds'));
  return {
    async write(packets) {
      const records = packets.map(({ bytes, length, ...time }) => ({
        ...time,
        data: bytes,
        originalLength: length,
      }));
      await out(pcapRecords(records, 'nanoseconds'));
    },
    close,
  };
}

function lines({ json, streams, session }: Call, dpif: Dpif): Writer {
  const keyText = keys(session.context.vlanLimit);
  let names = new Map<number, string>();
  return {
    async write(packets) {
      if (packets.some(({ port }) => !names.has(port))) {
        names = new Map();
        for await (const { name, portNo } of dpif.portDump()) names.set(portNo, name);
        // Deleted meanwhile: as good a name as any.
        for (const { port } of packets) if (!names.has(port)) names.set(port, String(port));
      }
      const text = packets.map((packet) => {
        const [name, key] = [names.get(packet.port) ?? '', keyText(packet)];
        return `${json ? jsonLine(packet, name, key) : textLine(packet, name, key)}\n`;
      });
      await streams.out(text.join(''));
    },
    async close() {},
  };
}

/** Says which key a captured packet has. One that was cut may have less of one. */
function keys(vlanLimit = 2): (packet: CapturedPacket) => string {
  const [row, layers] = [new Int32Array(KEY_WORDS), new Int32Array(LAYER_WORDS)];
  return ({ bytes, port }) => {
    row[W_IN_PORT] = port;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    extractFrame(view, 0, bytes.length, 0, vlanLimit, row, 0, layers, 0);
    return shortKey(formatFlowKey(flowToKey(row, 0, { vlanLimit })));
  };
}

function textLine(
  { seconds, nanoseconds, direction, length }: CapturedPacket,
  name: string,
  key: string,
): string {
  const clock = new Date(seconds * 1000).toTimeString().slice(0, 8);
  const fraction = String(nanoseconds).padStart(9, '0');
  // The port stands in front: its number need not stand in the key again.
  const rest = key.replace(/^in_port\(\d+\),/, '');
  return `${clock}.${fraction} ${name} ${direction} ${length} ${rest}`;
}

function jsonLine(packet: CapturedPacket, name: string, key: string): string {
  const { seconds, nanoseconds, port, direction, length, bytes } = packet;
  const time = `${new Date(seconds * 1000).toISOString().slice(0, 19)}.${String(nanoseconds).padStart(9, '0')}Z`;
  return JSON.stringify({
    time,
    port,
    name,
    direction,
    length,
    key,
    packet: Buffer.from(bytes).toString('hex'),
  });
}
