/**
 * The action lists in use, each compiled once: most flows of a table share a handful, and a flow holds only an index.
 * Control path; the packets' path reads `programs`.
 */

import { type ActionProgram, compileActions } from '@etherloom/core';
import { type ActionRules, checkActions, checkActionsOf } from './action-rules.js';

interface Entry {
  readonly id: number;
  readonly text: string;
  /** Whether the list may fit one flow and not another. */
  readonly dependent: boolean;
  references: number;
}

export class ActionTable {
  /** By id; replaced never, changed in place. */
  readonly programs: (ActionProgram | undefined)[] = [];
  readonly #entries: (Entry | undefined)[] = [];
  readonly #byText = new Map<string, Entry>();
  readonly #free: number[] = [];
  readonly #strict: boolean;

  constructor(rules: ActionRules) {
    this.#strict = rules === 'strict';
  }

  /**
   * The id of the program for `actions`, with one reference that `release` gives back. Throws a `DpifError`: EINVAL for a
   * list that is malformed or that no flow may have, EOPNOTSUPP for an action that only the kernel has.
   */
  acquire(actions: Uint8Array): number {
    // One byte, one character: the cheapest exact map key that JavaScript has for bytes.
    const text = Buffer.from(actions.buffer, actions.byteOffset, actions.byteLength).toString('latin1');
    const known = this.#byText.get(text);
    if (known !== undefined) {
      known.references++;
      return known.id;
    }
    const program = compileActions(actions);
    const dependent = this.#strict && checkActions(actions);
    const id = this.#free.pop() ?? this.programs.length;
    const entry: Entry = { id, text, dependent, references: 1 };
    this.programs[id] = program;
    this.#entries[id] = entry;
    this.#byText.set(text, entry);
    return id;
  }

  /** Whether {@link checkFlow} has something to check for program `id`. */
  dependsOnFlow(id: number): boolean {
    return this.#entries[id]!.dependent;
  }

  /** Throws a `DpifError` EINVAL unless the actions fit the packets of the flow; without a mask the packet with this key. */
  checkFlow(id: number, key: Int32Array, mask?: Int32Array): void {
    if (this.dependsOnFlow(id)) checkActionsOf(this.programs[id]!.actions, key, mask);
  }

  release(id: number): void {
    const entry = this.#entries[id]!;
    if (--entry.references > 0) return;
    this.#byText.delete(entry.text);
    this.#entries[id] = undefined;
    this.programs[id] = undefined;
    this.#free.push(id);
  }
}
