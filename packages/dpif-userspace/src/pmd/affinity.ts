/** The port option that pins receive queues to poll-mode threads, under the name that it has in Open vSwitch. */

import { DpifError, type NetdevConfig } from '@etherloom/core';

const OPTION = 'pmd-rxq-affinity';

/**
 * Takes `pmd-rxq-affinity=QUEUE:THREAD,...` out of a port's options, which are the driver's otherwise. EINVAL when it is
 * malformed or names a queue twice.
 */
export function splitAffinity(options: NetdevConfig): {
  readonly affinity: ReadonlyMap<number, number>;
  readonly config: NetdevConfig;
} {
  const affinity = new Map<number, number>();
  const { [OPTION]: text, ...config } = options;
  if (text === undefined) return { affinity, config: options };
  for (const pair of text.split(',')) {
    const match = /^(\d{1,5}):(\d{1,5})$/.exec(pair.trim());
    const queue = Number(match?.[1]);
    if (match === null || affinity.has(queue)) {
      throw new DpifError(
        'EINVAL',
        `${OPTION}=${text} ${match === null ? 'is not a list of QUEUE:THREAD pairs' : `names queue ${queue} twice`}: write it like ${OPTION}=0:1,1:0`,
      );
    }
    affinity.set(queue, Number(match[2]));
  }
  return { affinity, config };
}
