/** The dpif registry: datapath types by name, and opening of datapaths (dpif.h, provider registry and open/create). */

import { DpifError } from '../errors.js';
import type { Dpif } from './dpif.js';
import { checkName, DpifHandle } from './generic.js';
import type { DpifBackend, DpifProvider } from './provider.js';

/** The type meant when none is given (dpif_normalize_type). */
export const DEFAULT_DPIF_TYPE = 'system';

/** `""` and undefined mean "system". */
export function normalizeType(type: string | undefined): string {
  return type === undefined || type === '' ? DEFAULT_DPIF_TYPE : type;
}

/** Splits `type@name` at the first '@'; without one the type is the default. */
export function parseName(fullName: string): { readonly type: string; readonly name: string } {
  const at = fullName.indexOf('@');
  if (at < 0) return { type: DEFAULT_DPIF_TYPE, name: fullName };
  return { type: normalizeType(fullName.slice(0, at)), name: fullName.slice(at + 1) };
}

export class DpifRegistry {
  readonly #providers = new Map<string, DpifProvider>();
  readonly #blocked = new Set<string>();
  readonly #openCount = new Map<string, number>();

  /** Adds a datapath type. EINVAL when the type is blocked, EEXIST when it is there already. */
  register(provider: DpifProvider): void {
    const { type } = provider;
    if (this.#blocked.has(type)) {
      throw new DpifError('EINVAL', `datapath type "${type}" is blocked and cannot be registered`);
    }
    if (this.#providers.has(type)) {
      throw new DpifError('EEXIST', `a datapath provider of type "${type}" is registered already`);
    }
    this.#providers.set(type, provider);
  }

  /** Removes a datapath type. EAFNOSUPPORT when unknown, EBUSY while a handle of this type is open. */
  unregister(type: string): void {
    this.#provider(type);
    const open = this.#openCount.get(type) ?? 0;
    if (open > 0) {
      throw new DpifError(
        'EBUSY',
        `datapath type "${type}" is in use by ${open} open handle(s); close them first`,
      );
    }
    this.#providers.delete(type);
  }

  /** Makes later registrations of `type` fail; one that is there stays. */
  block(type: string): void {
    this.#blocked.add(type);
  }

  /** Registered types, sorted. */
  types(): string[] {
    return [...this.#providers.keys()].sort();
  }

  /** Names of the datapaths of `type`, sorted. EAFNOSUPPORT for an unknown type. */
  async names(type: string): Promise<string[]> {
    return [...((await this.#provider(normalizeType(type)).enumerate?.()) ?? [])].sort();
  }

  /** The netdev type to open for a port type in a datapath of `type`; the port type itself for an unknown datapath type. */
  portOpenType(type: string, portType: string): string {
    return this.#providers.get(normalizeType(type))?.portOpenType?.(portType) ?? portType;
  }

  /** Opens a datapath that exists. EAFNOSUPPORT for an unknown type, ENODEV when there is none of this name. */
  open(name: string, type?: string): Promise<Dpif> {
    return this.#open(name, type, false);
  }

  /** Creates a datapath and opens it. EEXIST when it is there already. */
  create(name: string, type?: string): Promise<Dpif> {
    return this.#open(name, type, true);
  }

  /** Creates a datapath, or opens the one that is there already (dpif_create_and_open). */
  async createAndOpen(name: string, type?: string): Promise<Dpif> {
    try {
      return await this.create(name, type);
    } catch (error) {
      if (error instanceof DpifError && (error.code === 'EEXIST' || error.code === 'EBUSY'))
        return this.open(name, type);
      throw error;
    }
  }

  async #open(name: string, type: string | undefined, create: boolean): Promise<Dpif> {
    const provider = this.#provider(normalizeType(type));
    if (name === '')
      throw new DpifError('EINVAL', 'a datapath name must not be empty; give one such as "br0"');
    // The local port takes the datapath's name.
    if (create) checkName('datapath', name);
    this.#count(provider.type, 1);
    let backend: DpifBackend;
    try {
      backend = await provider.open(name, create);
    } catch (error) {
      this.#count(provider.type, -1);
      throw error;
    }
    return new DpifHandle(provider, backend, name, () => this.#count(provider.type, -1));
  }

  #count(type: string, by: number): void {
    this.#openCount.set(type, (this.#openCount.get(type) ?? 0) + by);
  }

  #provider(type: string): DpifProvider {
    const provider = this.#providers.get(type);
    if (provider !== undefined) return provider;
    const known = this.types();
    const list = known.length > 0 ? known.join(', ') : 'none';
    throw new DpifError('EAFNOSUPPORT', `unknown datapath type "${type}"; registered types: ${list}`);
  }
}
