/** Where the compiler puts a program together, and how it reads payloads. Control path. */

import { DpifError } from '../errors.js';
import { OP_EXTENSION, ROOM_SHIFT } from './execute.hot.js';
import { ACTION_STEP, type ExtensionAction, type UserspaceAction } from './program.js';

/** An attribute with a payload, as the compiler passes it around. */
export interface Payload {
  readonly type: number;
  readonly bytes: Uint8Array;
}

export class ProgramBuilder {
  readonly code: number[] = [];
  readonly userspace: UserspaceAction[] = [];
  readonly extensions: ExtensionAction[] = [];
  /** Whether something compiled so far may change bytes of the packet, or its metadata. */
  changesBytes = false;
  changesMetadata = false;
  /** See `ActionProgram`. */
  needsResolved = false;
  /** Whether there are steps between actions (ACTION_STEP). */
  readonly steps: boolean;

  constructor(steps: boolean) {
    this.steps = steps;
  }

  /** Appends words; returns where the first of them is. */
  emit(...words: number[]): number {
    return this.code.push(...words) - words.length;
  }

  /** Appends an instruction that changes bytes. */
  change(...words: number[]): void {
    this.changesBytes = true;
    this.emit(...words);
  }

  /** Appends an instruction that adds `room` bytes in front of the packet. */
  push(room: number, operation: number, ...operands: number[]): void {
    this.change(operation | (room << ROOM_SHIFT), ...operands);
  }

  /** Appends a step in front of the action `attribute`, or at the end of a list when that is empty. */
  step(attribute: Uint8Array, depth: number): void {
    this.emit(
      OP_EXTENSION,
      this.extensions.push({ type: ACTION_STEP, payload: attribute, attribute, depth }) - 1,
    );
  }

  /** Appends an instruction that changes metadata. */
  metadata(...words: number[]): void {
    this.changesMetadata = true;
    this.emit(...words);
  }
}

export function invalid(message: string): DpifError {
  return new DpifError('EINVAL', message);
}

/** Throws unless the payload of action `name` has exactly `length` bytes. */
export function exactly(name: string, bytes: Uint8Array, length: number): void {
  if (bytes.length !== length) {
    throw invalid(`action ${name} has ${bytes.length} bytes of payload; it must have ${length}`);
  }
}

/** 32 bits in host order. */
export function host32(bytes: Uint8Array, at = 0): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

export function host16(bytes: Uint8Array, at = 0): number {
  return bytes[at]! | (bytes[at + 1]! << 8);
}

/** 32 bits in network order, as the signed word of a program. */
export function net32(bytes: Uint8Array, at = 0): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

export function net16(bytes: Uint8Array, at = 0): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}
