/**
 * The action lists in use, each compiled once: most flows of a table share a handful, and a flow holds only an index.
 * Control path; the packets' path reads `programs`.
 */

import { type ActionProgram, compileActions } from '@etherloom/core/data';

/** What lists must be besides compilable; action-rules.ts has such. */
export interface ActionChecks {
  /** Whether a list that may fit some flows does not fit others. Throws a `DpifError` for one that fits none. */
  checkActions(actions: Uint8Array): boolean;
  /** Throws a `DpifError` unless the list fits the packets with this key, or those that match key and mask. */
  checkActionsOf(actions: Uint8Array, key: Int32Array, mask?: Int32Array): void;
}

interface Entry {
  readonly id: number;
  readonly hash: number;
  readonly actions: Uint8Array;
  /** The next list with this hash. */
  next: Entry | undefined;
  /** Whether the list may fit one flow and not another. */
  readonly dependent: boolean;
  references: number;
}

export class ActionTable {
  /** By id; replaced never, changed in place. */
  readonly programs: (ActionProgram | undefined)[] = [];
  readonly #entries: (Entry | undefined)[] = [];
  /** By hash, the first list that has it. */
  readonly #byHash = new Map<number, Entry>();
  readonly #free: number[] = [];
  readonly #checks: ActionChecks | undefined;

  /** Without `checks` what compiles is taken. */
  constructor(checks?: ActionChecks) {
    this.#checks = checks;
  }

  /**
   * The id of the program for `actions`, with one reference that `release` gives back. Throws a `DpifError`: EINVAL for a
   * list that is malformed or that no flow may have, EOPNOTSUPP for an action that only the kernel has.
   */
  acquire(actions: Uint8Array): number {
    const hash = hashBytes(actions);
    const first = this.#byHash.get(hash);
    for (let known = first; known !== undefined; known = known.next) {
      if (!sameBytes(known.actions, actions)) continue;
      known.references++;
      return known.id;
    }
    const program = compileActions(actions);
    const dependent = this.#checks?.checkActions(actions) ?? false;
    const id = this.#free.pop() ?? this.programs.length;
    const entry: Entry = { id, hash, actions: program.actions, next: first, dependent, references: 1 };
    this.programs[id] = program;
    this.#entries[id] = entry;
    this.#byHash.set(hash, entry);
    return id;
  }

  /** Whether {@link checkFlow} has something to check for program `id`. */
  dependsOnFlow(id: number): boolean {
    return this.#entries[id]!.dependent;
  }

  /** Throws a `DpifError` EINVAL unless the actions fit the packets of the flow; without a mask the packet with this key. */
  checkFlow(id: number, key: Int32Array, mask?: Int32Array): void {
    if (this.dependsOnFlow(id)) this.#checks?.checkActionsOf(this.programs[id]!.actions, key, mask);
  }

  /** As {@link checkFlow} for a packet and actions that need not be in the table, nor fit a flow in number. They compile. */
  checkPacket(actions: Uint8Array, key: Int32Array): void {
    this.#checks?.checkActionsOf(actions, key);
  }

  release(id: number): void {
    const entry = this.#entries[id]!;
    if (--entry.references > 0) return;
    this.#unlink(entry);
    this.#entries[id] = undefined;
    this.programs[id] = undefined;
    this.#free.push(id);
  }

  /** Takes back all references at once: when all flows go, and nothing else has any. */
  clear(): void {
    this.programs.length = 0;
    this.#entries.length = 0;
    this.#free.length = 0;
    this.#byHash.clear();
  }

  #unlink(entry: Entry): void {
    const first = this.#byHash.get(entry.hash)!;
    if (first !== entry) {
      let before = first;
      while (before.next !== entry) before = before.next!;
      before.next = entry.next;
    } else if (entry.next !== undefined) this.#byHash.set(entry.hash, entry.next);
    else this.#byHash.delete(entry.hash);
  }
}

/** Most lists are a word or two long: a loop takes 10 ns then, a string as key of the map took 200. */
function hashBytes(bytes: Uint8Array): number {
  let hash = bytes.length;
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i]!, 0x0100_0193);
  return hash;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
