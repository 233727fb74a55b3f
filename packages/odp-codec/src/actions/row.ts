/**
 * What a row of the action table says, and what its handlers get to work with.
 *
 * A row owns one OVS_ACTION_ATTR_*: how it prints, how it reads, and how it becomes a model and back. Handlers never
 * import the table: lists of nested actions go through the contexts, so a row stands alone.
 */
import { isObject } from '../key/shape.js';
import type { NlWriter } from '../netlink.js';
import type { Action, ActionOf, ActionType } from './model.js';
import type { ActionReader } from './reader.js';
import { reject } from './values.js';

/** Expected payload length: bytes, or "the handler checks". */
export const VARIABLE = -2;
/** What Open vSwitch calls the expected length of an attribute that it does not know. */
export const UNKNOWN = -1;

/** What a printing handler may ask for. */
export interface Printer {
  /** A datapath port: its name if it has one, else its number. */
  port(no: number): string;
  /** A nested list: its actions joined by commas, `drop` if there are none. */
  list(actions: Uint8Array): string;
}

/** Decodes and encodes the lists inside an action; each goes one level deeper. */
export interface ListDecoder {
  /** Undefined when the bytes are not a well-formed list. */
  list(actions: Uint8Array): Action[] | undefined;
}
export interface ListEncoder {
  /** Appends attribute `attr` that holds the actions; `what` names the property for errors. */
  list(out: NlWriter, attr: number, actions: unknown, what: string): void;
}

export interface ActionRow<T extends ActionType = ActionType> {
  readonly type: T;
  readonly attr: number;
  /** Payload bytes, or {@link VARIABLE}. A payload of another length prints as `bad length`. */
  readonly length: number;
  /** The text form, for the documentation. */
  readonly text: string;
  /** What it does, one line, for the documentation. */
  readonly about: string;
  /** What the text starts with. A row without one is read by number or name, or not at all. */
  readonly keyword?: string;
  /** Open vSwitch prints this form but does not read it in a list: refused by a strict reader. */
  readonly printOnly?: true;

  /** The text of a payload of a right length. */
  format(payload: Uint8Array, printer: Printer): string;
  /** Reads the text at the reader's position, which starts with `keyword`, and appends the attribute. */
  parse?(reader: ActionReader): void;
  /** The model of a payload, or undefined when it has no exact one. */
  decode(payload: Uint8Array, lists: ListDecoder): ActionOf<T> | undefined;
  /**
   * Appends the attribute. A model may come from JSON, so the handler checks every property it uses and throws an
   * `OdpError` for one that is missing or out of range.
   */
  encode(out: NlWriter, action: ActionOf<T>, lists: ListEncoder): void;
}

/** A row whatever its action, as the table holds it. */
export interface AnyActionRow extends Omit<ActionRow, 'decode' | 'encode'> {
  decode(payload: Uint8Array, lists: ListDecoder): Action | undefined;
  /** `action` is of this row's type; nothing else is known about it. */
  encode(out: NlWriter, action: unknown, lists: ListEncoder): void;
}

/** True for what calls itself such an action; the encoder checks the rest. */
function isOf<T extends ActionType>(action: unknown, type: T): action is ActionOf<T> {
  return isObject(action) && action.type === type;
}

export function anyRow<T extends ActionType>(row: ActionRow<T>): AnyActionRow {
  return {
    ...row,
    encode(out, action, lists) {
      if (!isOf(action, row.type)) return reject('action', `of type ${row.type}`, action);
      row.encode(out, action, lists);
    },
  };
}
