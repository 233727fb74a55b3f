/** The netdev registry: device types by name, and the devices that are open, each shared by all who open it. */

import { DpifError } from '../errors.js';
import type {
  Netdev,
  NetdevConfig,
  NetdevProvider,
  NetdevQueue,
  QueueDescriptor,
  QueueResources,
} from './netdev.js';

interface OpenNetdev {
  readonly netdev: Netdev;
  readonly provider: NetdevProvider;
  references: number;
  /** Set when the last reference went: resolves when the name is free again. */
  closing: Promise<void> | undefined;
}

/** A device that was opened through a registry: the device, and the reference to give back. */
export interface NetdevRef {
  readonly netdev: Netdev;
  /** The data half on this thread. Other threads import `descriptor.module` and call its `openQueue`. */
  openQueue(descriptor: QueueDescriptor, resources: QueueResources): NetdevQueue;
  /** Gives the reference back; the last one closes the device. Idempotent. */
  release(): Promise<void>;
}

export class NetdevRegistry {
  readonly #providers = new Map<string, NetdevProvider>();
  readonly #open = new Map<string, Promise<OpenNetdev>>();

  /** Adds a device type. EEXIST when it is there already. */
  register(provider: NetdevProvider): void {
    if (this.#providers.has(provider.type)) {
      throw new DpifError('EEXIST', `a netdev provider of type "${provider.type}" is registered already`);
    }
    this.#providers.set(provider.type, provider);
  }

  /** Removes a device type. EAFNOSUPPORT when unknown, EBUSY while a device of it is open. */
  async unregister(type: string): Promise<void> {
    if (!this.#providers.has(type)) throw this.#unknown(type);
    for (const pending of this.#open.values()) {
      const open = await pending.catch(() => undefined);
      if (open?.provider.type === type) {
        throw new DpifError(
          'EBUSY',
          `netdev type "${type}" is in use by "${open.netdev.name}"; close it first`,
        );
      }
    }
    this.#providers.delete(type);
  }

  /** Registered types, sorted. */
  types(): string[] {
    return [...this.#providers.keys()].sort();
  }

  has(type: string): boolean {
    return this.#providers.has(type);
  }

  /**
   * Opens device `name`. A device that is open already is shared: the same type (and no config) gives another
   * reference, another type is EEXIST. Unknown types are EAFNOSUPPORT.
   */
  async open(name: string, type: string, config: NetdevConfig = {}): Promise<NetdevRef> {
    const existing = this.#open.get(name);
    if (existing !== undefined) {
      const open = await existing;
      if (open.closing !== undefined) {
        await open.closing;
        return this.open(name, type, config);
      }
      if (open.provider.type !== type) {
        throw new DpifError(
          'EEXIST',
          `network device "${name}" is open with type "${open.provider.type}", not "${type}"`,
        );
      }
      return this.#reference(name, open);
    }
    const provider = this.#providers.get(type);
    if (provider === undefined) throw this.#unknown(type);
    const pending = provider
      .open(name, config)
      .then((netdev): OpenNetdev => ({ netdev, provider, references: 0, closing: undefined }));
    this.#open.set(name, pending);
    try {
      return this.#reference(name, await pending);
    } catch (error) {
      this.#open.delete(name);
      throw error;
    }
  }

  /** An open device by name, without taking a reference. */
  async find(name: string): Promise<Netdev | undefined> {
    return (await this.#open.get(name)?.catch(() => undefined))?.netdev;
  }

  #reference(name: string, open: OpenNetdev): NetdevRef {
    open.references++;
    let released = false;
    return {
      netdev: open.netdev,
      openQueue: (descriptor, resources) => open.provider.openQueue(descriptor, resources),
      release: async () => {
        if (released) return;
        released = true;
        if (--open.references > 0) return;
        const closed = open.netdev.close().finally(() => this.#open.delete(name));
        open.closing = closed.catch(() => undefined);
        await closed;
      },
    };
  }

  #unknown(type: string): DpifError {
    const known = this.types();
    const list = known.length > 0 ? known.join(', ') : 'none';
    return new DpifError('EAFNOSUPPORT', `unknown netdev type "${type}"; registered types: ${list}`);
  }
}
