/**
 * The `netdev-dummy/*` control commands: the far end of dummy devices. `receive` and `set-admin-state` are Open
 * vSwitch's; `transmitted`, which takes the frames that a device sent, is ours (there, a capture file shows them).
 */

import {
  type DpctlContext,
  datapathNames,
  openNamed,
  packetFromFlow,
  packetFromHex,
  quoteSyntaxError,
} from '@etherloom/cli';
import { DummyNetdev } from '@etherloom/netdev-dummy';
import { OdpError } from '@etherloom/odp-codec';
import type { Answer, ControlCommand } from './command.js';

/** Shortest frame that can be asked for with `--len`: Ethernet's least, without its checksum. */
const MIN_LENGTH = 60;
/** Turns of the event loop that an injected packet may take until the datapath has dealt with it. */
const MAX_TURNS = 100;

export function netdevDummyCommands(context: DpctlContext): ControlCommand[] {
  const find = async (name: string, unknown: string): Promise<DummyNetdev> => {
    const netdev = await context.netdevs.find(name);
    if (netdev instanceof DummyNetdev) return netdev;
    throw new Error(unknown);
  };
  return [
    {
      name: 'netdev-dummy/receive',
      usage: 'name [--qid queue_id] packet|flow [--len packet_len]',
      minArgs: 2,
      maxArgs: Number.POSITIVE_INFINITY,
      async run([name = '', ...args]) {
        const device = await find(name, 'no such dummy netdev');
        const { queue, rest } = takeQueue(args, device.capabilities.rxQueues);
        const { rxPackets: before = 0 } = await device.getStats();
        let taken = 0;
        try {
          // One after the other, as in Open vSwitch: a bad one at the end does not take back those in front of it.
          for (const packet of readPackets(rest, context.vlanLimit))
            if (device.inject(packet, queue)) taken++;
        } finally {
          await received(device, before + taken);
        }
        return { text: '', json: { taken } };
      },
    },
    {
      name: 'netdev-dummy/set-admin-state',
      usage: '[netdev] up|down',
      minArgs: 1,
      maxArgs: 2,
      async run(args) {
        const state = args.at(-1)?.toLowerCase();
        if (state !== 'up' && state !== 'down') throw new Error('Invalid Admin State');
        const devices =
          args.length > 1 ? [await find(args[0]!, 'Unknown Dummy Interface')] : await dummyPorts(context);
        for (const device of devices) await device.setFlags({ up: state === 'up' });
        return { text: 'OK\n', json: {} };
      },
    },
    {
      name: 'netdev-dummy/transmitted',
      usage: 'name',
      minArgs: 1,
      maxArgs: 1,
      async run([name = '']): Promise<Answer> {
        const device = await find(name, 'no such dummy netdev');
        const packets = device.takeTransmitted().map((frame) => Buffer.from(frame).toString('hex'));
        return { text: packets.map((hex) => `${hex}\n`).join(''), json: { packets } };
      },
    },
  ];
}

/** As C's strtol reads it: the digits at the front, 0 when there are none. */
const leadingNumber = (text: string): number => Number(/^\s*[+-]?\d+/.exec(text)?.[0] ?? 0);

function takeQueue(args: readonly string[], queues: number): { queue: number; rest: readonly string[] } {
  if (args[0] !== '--qid' || args.length === 1) return { queue: 0, rest: args };
  const queue = leadingNumber(args[1] ?? '');
  if (queue < 0 || queue >= queues) throw new Error('bad rx queue id.');
  return { queue, rest: args.slice(2) };
}

/** Each argument is a frame in hexadecimal or a flow that says what to compose, the latter perhaps with a length. */
function* readPackets(args: readonly string[], vlanLimit: number | undefined): Generator<Uint8Array> {
  for (let at = 0; at < args.length; at++) {
    const text = args[at]!;
    const frame = packetFromHex(text);
    if (frame !== undefined) {
      yield frame;
      continue;
    }
    let length: number | undefined;
    if (args[at + 1] === '--len') {
      length = leadingNumber(args[at + 2] ?? '');
      if (length < MIN_LENGTH) throw new Error('too small packet len');
      at += 2;
    }
    yield compose(text, length, vlanLimit);
  }
}

function compose(text: string, length: number | undefined, vlanLimit: number | undefined): Uint8Array {
  try {
    return packetFromFlow(text, { length, vlanLimit }).packet;
  } catch (error) {
    if (error instanceof OdpError) throw new Error(quoteSyntaxError(text, error));
    throw error;
  }
}

/** Waits until the datapath has taken `total` packets from the device, so that who asks next sees what they did. */
async function received(device: DummyNetdev, total: number): Promise<void> {
  for (let turn = 0; turn < MAX_TURNS; turn++) {
    if (((await device.getStats()).rxPackets ?? 0) >= total) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function dummyPorts(context: DpctlContext): Promise<DummyNetdev[]> {
  const found: DummyNetdev[] = [];
  for (const name of await datapathNames(context.dpifs)) {
    const dpif = await openNamed(context, name);
    try {
      for await (const port of dpif.portDump()) {
        const netdev = await context.netdevs.find(port.name);
        if (netdev instanceof DummyNetdev) found.push(netdev);
      }
    } finally {
      await dpif.close();
    }
  }
  return found;
}
