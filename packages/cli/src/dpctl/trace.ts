/** dpctl trace, which Open vSwitch's datapaths lack: the way of one packet, without sending it. */

import { type Dpif, DpifError, toDpifError } from '@etherloom/core';
import {
  flowToMetadataKey,
  KEY_ATTR,
  KEY_WORDS,
  metadataFromKey,
  NlReader,
  NlWriter,
  OdpError,
  W_IN_PORT,
  W_RECIRC_ID,
} from '@etherloom/odp-codec';
import type { JsonValue } from '../unixctl/protocol.js';
import { type DpctlCommand, type DpctlOptions, Report } from './command.js';
import { portNames, portNumber, textOptions } from './flow-text.js';
import { withOptional } from './open.js';
import { packetFromFlow, packetFromHex } from './packet-text.js';
import { traceJson, traceText } from './trace-text.js';

/** A packet to trace: its bytes, and what is known of it besides. */
export interface TracedPacket {
  readonly packet: Uint8Array;
  /** Key attributes; only metadata counts. */
  readonly metadata: Uint8Array;
}

/** Traces a packet and prints its way. `port`, a name or number, is where it comes from, whatever its metadata say. */
export async function tracePacket(
  report: Report,
  dpif: Dpif,
  { packet, metadata }: TracedPacket,
  port: string | undefined,
  options: DpctlOptions,
): Promise<JsonValue> {
  const trace = await dpif.trace({ packet, metadata: await comingFrom(dpif, metadata, port) });
  const ports = new Map<number, string>();
  for await (const { name, portNo } of dpif.portDump()) ports.set(portNo, name);
  const text = { ...(await textOptions(dpif, options)), ports };
  report.print(traceText(packet, trace, text));
  return traceJson(packet, trace, text);
}

/** Metadata with the input port. EINVAL when there is none, or no such. */
async function comingFrom(dpif: Dpif, metadata: Uint8Array, port: string | undefined): Promise<Uint8Array> {
  if (port === undefined) {
    for (const reader = new NlReader(metadata); reader.next(); ) {
      if (reader.type === KEY_ATTR.IN_PORT) return metadata;
    }
    const how = 'begin the flow with in_port(PORT), or give the port besides the packet';
    throw new DpifError('EINVAL', `it is not said which port the packet comes from; ${how}`);
  }
  const row = new Int32Array(KEY_WORDS);
  metadataFromKey(metadata, row);
  row[W_IN_PORT] = await portNumber(dpif, port);
  const out = new NlWriter();
  if (row[W_RECIRC_ID] !== 0) out.u32(KEY_ATTR.RECIRC_ID, row[W_RECIRC_ID]!);
  out.append(flowToMetadataKey(row));
  return out.finish();
}

/** A packet as `text` writes it, in hexadecimal or as a flow. Throws an `OdpError` or `DpifError`. */
export async function readPacket(
  dpif: Dpif,
  text: string,
  vlanLimit: number | undefined,
): Promise<TracedPacket> {
  const bytes = packetFromHex(text);
  if (bytes !== undefined) return { packet: bytes, metadata: new Uint8Array(0) };
  const { packet, key } = packetFromFlow(text, { vlanLimit, ...(await portNames(dpif)) });
  return { packet, metadata: key };
}

/** Reports what went wrong with the packet that `text` writes. */
export function reportTraceError(report: Report, text: string, error: unknown): void {
  if (error instanceof OdpError) {
    report.fail(
      `parsing packet (${error.message}) (Invalid argument)`,
      `"${text}" is neither a packet in hexadecimal nor the flow of one: ${error.message}`,
    );
  } else report.failWith('tracing packet', toDpifError(error));
}

const trace: DpctlCommand = {
  name: 'trace',
  usage: '[dp] packet|flow [in_port]',
  minArgs: 1,
  maxArgs: 3,
  async run(context, args, options) {
    const report = new Report();
    let json: JsonValue = {};
    // No datapath has a name like a packet: then there is none in front of it.
    const isPacket = (text: string): boolean => text.includes('(') || packetFromHex(text) !== undefined;
    const most = isPacket(args[0]!) ? args.length + 1 : args.length;
    await withOptional(context, report, args, most, async (dpif, [text = '', port]) => {
      try {
        const packet = await readPacket(dpif, text, context.vlanLimit);
        json = await tracePacket(report, dpif, packet, port, options);
      } catch (error) {
        reportTraceError(report, text, error);
      }
    });
    return report.result(json);
  },
};

export const TRACE_COMMANDS: readonly DpctlCommand[] = [trace];
