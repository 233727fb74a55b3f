/** The device type: opens dummy devices and finds them again by name, so that tests can reach their far ends. */

import {
  DpifError,
  type NetdevConfig,
  type NetdevProvider,
  type NetdevQueue,
  type QueueDescriptor,
  type QueueResources,
} from '@etherloom/core';
import { parseConfig, significant } from './config.js';
import { type DeviceHost, DummyNetdev } from './device.js';
import { openQueue } from './queue.js';
import { loadReplay } from './replay.js';

export class DummyProvider implements NetdevProvider {
  readonly type: string;
  readonly #devices = new Map<string, DummyNetdev>();
  #opened = 0;
  readonly #host: DeviceHost = {
    peerOf: (device) => {
      const other = device.peer === undefined ? undefined : this.#devices.get(device.peer);
      return other?.peer === device.name ? other : undefined;
    },
    closed: (device) => {
      this.#devices.delete(device.name);
      if (device.peer !== undefined) this.#devices.get(device.peer)?.refreshLink();
    },
  };

  /** `type` is the name under which it is registered: a datapath may map another type to dummy devices of its own. */
  constructor(type = 'dummy') {
    this.type = type;
  }

  /**
   * Opens a device. EINVAL for an empty name and for unknown or bad options, EEXIST while a device of that name is open, and
   * whatever opening capture files brings (ENOENT, EACCES...).
   */
  async open(name: string, config: NetdevConfig): Promise<DummyNetdev> {
    if (name === '') throw new DpifError('EINVAL', 'a dummy device needs a name: this one is empty');
    if (this.#devices.has(name)) {
      throw new DpifError(
        'EEXIST',
        `dummy device "${name}" is open already: close it first or take another name`,
      );
    }
    const options = parseConfig(name, config);
    const { replay } = options;
    const frames = replay === undefined ? undefined : loadReplay(replay.path, replay.loops, replay.shared);
    const mac = ownMac(this.#opened++);
    const device = new DummyNetdev(this.#host, name, this.type, mac, significant(config), options, frames);
    this.#devices.set(name, device);
    device.refreshLink();
    if (device.peer !== undefined) this.#devices.get(device.peer)?.refreshLink();
    return device;
  }

  openQueue(descriptor: QueueDescriptor, resources: QueueResources): NetdevQueue {
    return openQueue(descriptor, resources);
  }

  /** The open device of that name. */
  device(name: string): DummyNetdev | undefined {
    return this.#devices.get(name);
  }
}

/** Addresses in the order of opening, as Open vSwitch gives to its dummies: aa:55:aa:55:00:01 and so on. */
function ownMac(index: number): string {
  const number = index + 1;
  const low = [(number >> 8) & 0xff, number & 0xff].map((byte) => byte.toString(16).padStart(2, '0'));
  return `aa:55:aa:55:${low.join(':')}`;
}
