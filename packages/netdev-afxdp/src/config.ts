/** Options of AF_XDP devices: part of the contract, and so checked already in versions that cannot open one. */

import { DpifError, type NetdevConfig } from '@etherloom/core';

/** How the device's driver runs the socket; `auto` takes the first of the others, in this order, that works. */
export const MODES = ['auto', 'zerocopy', 'native', 'generic'] as const;
export type AfxdpMode = (typeof MODES)[number];

/** Most queue pairs of a device. */
const MAX_QUEUES = 64;

export interface AfxdpOptions {
  readonly queues: number;
  readonly mode: AfxdpMode;
}

/** Parses the options of device `name`. EINVAL names the first bad one. */
export function parseOptions(name: string, config: NetdevConfig): AfxdpOptions {
  for (const option of Object.keys(config)) {
    if (option !== 'queues' && option !== 'mode') {
      throw new DpifError(
        'EINVAL',
        `AF_XDP device "${name}" has no option "${option}": the options are mode, queues`,
      );
    }
  }
  const { queues = '1', mode = 'auto' } = config;
  if (!/^[1-9][0-9]?$/.test(queues) || Number(queues) > MAX_QUEUES) {
    throw new DpifError('EINVAL', `queues=${queues}: give a whole number from 1 to ${MAX_QUEUES}`);
  }
  const known = MODES.find((candidate) => candidate === mode);
  if (known === undefined) throw new DpifError('EINVAL', `mode=${mode}: give one of ${MODES.join(', ')}`);
  return { queues: Number(queues), mode: known };
}
