/**
 * The targets. Each is loaded when it is its turn, and nothing else imports the code under test: coverage counts only
 * what is compiled after it was started.
 */

import type { Service } from '../service/service.js';
import type { Target } from '../target.js';

export interface TargetEntry {
  readonly name: string;
  /** One line for `--list`. */
  readonly about: string;
  load(): Promise<Target>;
}

/** A program that is fuzzed from outside. */
export interface ServiceEntry {
  readonly name: string;
  readonly about: string;
  loadService(): Promise<Service>;
}

export const TARGETS: readonly (TargetEntry | ServiceEntry)[] = [
  {
    name: 'key-bytes',
    about: 'keys and masks as bytes: unpacked, packed, printed, as models',
    load: async () => (await import('./key-bytes.js')).keyBytes,
  },
  {
    name: 'key-text',
    about: 'keys as text, with and without masks; what is printed reads back',
    load: async () => (await import('./key-text.js')).keyText,
  },
  {
    name: 'action-bytes',
    about: 'actions as bytes: printed, as models, compiled',
    load: async () => (await import('./action-bytes.js')).actionBytes,
  },
  {
    name: 'action-text',
    about: 'actions as text; what is printed reads back',
    load: async () => (await import('./action-text.js')).actionText,
  },
  {
    name: 'dump-line',
    about: 'lines of dump-flows; what is printed reads back',
    load: async () => (await import('./dump-line.js')).dumpLine,
  },
  {
    name: 'extract',
    about: 'frames: extraction stays inside, composition is its inverse',
    load: async () => (await import('./extract.js')).extract,
  },
  {
    name: 'execute',
    about: 'actions on frames: no throw, no leak, nothing touched outside the packet',
    load: async () => (await import('./execute.js')).execute,
  },
  {
    name: 'control',
    about: 'the control socket of a running switchd: no crash, no leak, others are answered',
    loadService: async () => new (await import('../service/control.js')).ControlService(),
  },
];
