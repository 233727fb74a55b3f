/**
 * dpctl commands for what a datapath of Etherloom does not have: connection tracking, reassembly of fragments and hardware
 * offload. They are listed, take the arguments that Open vSwitch's take, and say so.
 */

import { type DpctlCommand, Report } from './command.js';
import { withOptional } from './open.js';

type Row = readonly [name: string, usage: string, minArgs: number, maxArgs: number, shape: string];

const OFFLOAD: readonly Row[] = [['offload-stats-show', '[dp]', 0, 1, 'retrieving offload statistics']];

const CONNECTION_TRACKING: readonly Row[] = [
  ['dump-conntrack', '[-m] [-s] [dp] [zone=N]', 0, 2, 'dumping conntrack entry'],
  ['dump-conntrack-exp', '[dp] [zone=N]', 0, 2, 'dumping conntrack expectation'],
  [
    'flush-conntrack',
    '[dp] [zone=N] [mark=X[/M]] [labels=Y[/N]] [ct-orig-tuple [ct-reply-tuple]]',
    0,
    6,
    'failed to flush conntrack',
  ],
];

const CONNECTION_SETTINGS: readonly Row[] = [
  ['ct-stats-show', '[dp] [zone=N]', 0, 2, 'dumping conntrack entry'],
  ['ct-bkts', '[dp] [gt=N]', 0, 2, 'dumping conntrack entry'],
  ['ct-set-maxconns', '[dp] maxconns', 1, 2, 'ct set maxconns failed'],
  ['ct-get-maxconns', '[dp]', 0, 1, 'maxconns could not be retrieved'],
  ['ct-get-nconns', '[dp]', 0, 1, 'nconns could not be retrieved'],
  ['ct-enable-tcp-seq-chk', '[dp]', 0, 1, 'enabling TCP sequence checking failed'],
  ['ct-disable-tcp-seq-chk', '[dp]', 0, 1, 'disabling TCP sequence checking failed'],
  ['ct-get-tcp-seq-chk', '[dp]', 0, 1, 'TCP sequence checking query failed'],
  [
    'ct-set-limits',
    '[dp] [default=L] [zone=N,limit=L]...',
    1,
    Number.POSITIVE_INFINITY,
    'ct set limits failed',
  ],
  ['ct-del-limits', '[dp] [default] [zone=N1[,N2]...]', 1, 3, 'ct del limits failed'],
  ['ct-get-limits', '[dp] [zone=N1[,N2]...]', 0, 2, 'ct limits could not be retrieved'],
  ['ct-get-sweep-interval', '[dp]', 0, 1, 'sweep interval could not be retrieved'],
  ['ct-set-sweep-interval', '[dp] ms', 1, 2, 'failed to set the sweep interval'],
];

const FRAGMENTS: readonly Row[] = [
  ['ipf-set-enabled', '[dp] v4|v6', 1, 2, 'ipf could not be enabled'],
  ['ipf-set-disabled', '[dp] v4|v6', 1, 2, 'ipf could not be disabled'],
  ['ipf-set-min-frag', '[dp] v4|v6 minfragment', 2, 3, 'ipf minimum fragment size not set'],
  ['ipf-set-max-nfrags', '[dp] maxfrags', 1, 2, 'ipf max number of fragments not set'],
  ['ipf-get-status', '[dp]', 0, 1, 'ipf status could not be retrieved'],
];

const refusing =
  (lack: string, errno = 'Operation not supported') =>
  ([name, usage, minArgs, maxArgs, shape]: Row): DpctlCommand => ({
    name,
    usage,
    minArgs,
    maxArgs,
    async run(context, args) {
      const report = new Report();
      await withOptional(context, report, args, maxArgs, async () => {
        report.fail(`${shape} (${errno})`, `"${name}" does nothing here: the datapath has no ${lack}`);
      });
      return report.result({});
    },
  });

/** Open vSwitch's words for a datapath whose offload is turned off. */
export const OFFLOAD_COMMANDS: readonly DpctlCommand[] = OFFLOAD.map(
  refusing('hardware offload', 'Invalid argument'),
);
export const CONNECTION_COMMANDS: readonly DpctlCommand[] = CONNECTION_TRACKING.map(
  refusing('connection tracking'),
);
export const SETTING_COMMANDS: readonly DpctlCommand[] = [
  ...CONNECTION_SETTINGS.map(refusing('connection tracking')),
  ...FRAGMENTS.map(refusing('reassembly of fragments')),
];
