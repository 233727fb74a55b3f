/** `etherloom trace`: dpctl's trace with packets out of capture files besides. */

import { existsSync, readFileSync } from 'node:fs';
import { DpifError, readPcap } from '@etherloom/core';
import { Report } from '../dpctl/command.js';
import { withOptional } from '../dpctl/open.js';
import { splitOptions } from '../dpctl/options.js';
import { readPacket, reportTraceError, type TracedPacket, tracePacket } from '../dpctl/trace.js';
import type { JsonValue } from '../unixctl/protocol.js';
import { type Call, type CliOption, print } from './command.js';
import { CliError, EXIT_USAGE } from './errors.js';

export const TRACE_OPTIONS: readonly CliOption[] = [
  { name: 'port', value: 'PORT', help: 'name or number of the port that the packet comes from' },
  { name: 'pcap', value: 'FILE[:N]', help: 'trace the Nth packet of a capture file (default the first)' },
];

export async function tracePacketOf(call: Call): Promise<void> {
  const { session, args, options } = call;
  const file = options.get('pcap');
  const report = new Report();
  let json: JsonValue = {};
  await withOptional(
    session.context,
    report,
    args,
    args.length < 2 ? args.length + 1 : 2,
    async (dpif, rest) => {
      const wanted = 'give a flow, a packet in hexadecimal or --pcap FILE';
      if (rest.length > 0 && file !== undefined)
        throw new CliError(`trace takes one packet, and here are two; ${wanted}`, EXIT_USAGE);
      const [text] = rest;
      if (text === undefined && file === undefined)
        throw new CliError(`trace needs a packet; ${wanted}`, EXIT_USAGE);
      try {
        const packet =
          file === undefined
            ? await readPacket(dpif, text ?? '', session.context.vlanLimit)
            : fromCapture(file);
        const flags = [...options.keys()].filter((name) => name === 'more' || name === 'names');
        const { options: form } = splitOptions(flags.map((name) => `--${name}`));
        json = await tracePacket(report, dpif, packet, options.get('port'), form);
      } catch (error) {
        reportTraceError(report, text ?? file ?? '', error);
      }
    },
  );
  await print(call, report.result(json));
}

/** A packet of a capture file: `FILE` or `FILE:N`, from 1. */
function fromCapture(argument: string): TracedPacket {
  const [, before = argument, digits = '1'] = (!existsSync(argument) && /^(.+):(\d+)$/.exec(argument)) || [];
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(before);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new DpifError('EIO', `the capture file ${before} cannot be read: ${reason}`);
  }
  const records = readPcap(bytes, before);
  const record = records[Number(digits) - 1];
  if (record === undefined) {
    throw new DpifError(
      'EINVAL',
      `${before} has ${records.length} packets, counted from 1: none has number ${digits}`,
    );
  }
  if (record.data.length < record.originalLength) {
    const cut = `${record.data.length} of ${record.originalLength} bytes`;
    throw new DpifError(
      'EINVAL',
      `packet ${digits} of ${before} was not captured whole (${cut}): capture without a limit`,
    );
  }
  return { packet: record.data, metadata: new Uint8Array(0) };
}
