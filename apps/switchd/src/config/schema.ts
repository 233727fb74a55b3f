/** The shape of switchd's configuration. One schema: what it accepts is what the README documents. */

import { defaultRunDir } from '@etherloom/cli';
import { MAX_PMD_THREADS } from '@etherloom/dpif-userspace';
import { z } from 'zod';
import { LEARNING_DEFAULTS } from '../learning/planner.js';

/** The I/O drivers that come with Etherloom. */
export const DEFAULT_DRIVERS = [
  '@etherloom/netdev-tap',
  '@etherloom/netdev-afxdp',
  '@etherloom/netdev-dummy',
];
export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

/** The last one that a set of CPUs of the C library has (CPU_SETSIZE, sched_setaffinity(2)). */
const LAST_CPU = 1023;

const name = z.string().min(1);
/** Driver options are text on the netdev contract; YAML may write numbers and truth values bare. */
const optionValue = z.union([z.string(), z.number(), z.boolean()]).transform(String);
const seconds = z.number().positive();
const count = z.int().positive();

const port = z.strictObject({
  name,
  type: name.optional(),
  /** Port number; default: the first free one. */
  number: z.int().min(1).max(65_534).optional(),
  options: z.record(z.string(), optionValue).default({}),
});

/** Who answers a datapath's upcalls: a learning switch, or nobody, so that packets without a flow are dropped and counted. */
const CLIENTS = ['learning', 'none'] as const;

const datapath = z.strictObject({
  name,
  client: z.enum(CLIENTS).default('learning'),
  type: name.default('netdev'),
  ports: z.array(port).default([]),
});

const learning = z.strictObject({
  macAge: seconds.default(LEARNING_DEFAULTS.macAge),
  maxIdle: seconds.default(LEARNING_DEFAULTS.maxIdle),
  maxMacs: count.default(LEARNING_DEFAULTS.maxMacs),
  maxFlows: count.default(LEARNING_DEFAULTS.maxFlows),
});

export const configSchema = z
  .strictObject({
    runDir: name.default(() => defaultRunDir()),
    logLevel: z.enum(LOG_LEVELS).default('info'),
    drivers: z.array(name).default(DEFAULT_DRIVERS),
    /** For tests: "dummy" datapaths and devices as Open vSwitch's `--enable-dummy` has them, on a clock that can be stopped. */
    dummy: z.boolean().default(false),
    /** Poll-mode threads of each datapath; 0: packets go their way on the main thread. */
    pmdThreads: z.int().min(0).max(MAX_PMD_THREADS).default(0),
    /** CPUs to bind them to, in turn. */
    pmdCpus: z.array(z.int().min(0).max(LAST_CPU)).default([]),
    /** VLAN tags of a packet that its flow can match; what is behind them counts as payload. Open vSwitch's default is 1. */
    vlanLimit: z.literal([1, 2]).default(2),
    datapaths: z.array(datapath).default([]),
    learning: learning.prefault({}),
  })
  .superRefine(({ datapaths }, context) => {
    const complain = (path: (string | number)[], message: string): void =>
      context.addIssue({ code: 'custom', path: ['datapaths', ...path], message });
    // A device belongs to one datapath, and each datapath's local port is a device of its name.
    const devices = new Map(datapaths.map((dp): [string, string] => [dp.name, `datapath "${dp.name}"`]));
    const named = new Set<string>();
    for (const [d, dp] of datapaths.entries()) {
      if (named.has(dp.name))
        complain([d, 'name'], 'is the name of two datapaths; choose another for one of them');
      named.add(dp.name);
      const numbers = new Set<number>();
      for (const [p, { name: device, number }] of dp.ports.entries()) {
        const owner = devices.get(device);
        if (owner !== undefined)
          complain([d, 'ports', p, 'name'], `is taken by ${owner} already; choose another name`);
        devices.set(device, `a port of datapath "${dp.name}"`);
        if (number !== undefined && numbers.has(number)) {
          complain(
            [d, 'ports', p, 'number'],
            `is the number of two ports of "${dp.name}"; choose another for one of them`,
          );
        }
        if (number !== undefined) numbers.add(number);
      }
    }
  });

/** The settings that there are at a place in the configuration, which must be one of a mapping. */
export function settingsAt([top, , inDatapath]: readonly PropertyKey[]): string[] {
  if (top === undefined) return Object.keys(configSchema.shape);
  if (top === 'learning') return Object.keys(learning.shape);
  return Object.keys((inDatapath === undefined ? datapath : port).shape);
}

export type Config = z.output<typeof configSchema>;
export type ConfigInput = z.input<typeof configSchema>;
export type DatapathConfig = Config['datapaths'][number];
