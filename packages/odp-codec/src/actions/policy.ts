/** Reading nested attributes against a policy, with the rules of Open vSwitch's nl_policy_parse(). */
import { NlReader } from '../netlink.js';

/** What is known about one nested attribute. */
export interface PolicyEntry {
  /** Least and most payload bytes. */
  readonly min: number;
  readonly max?: number;
  /** Refuse the whole when it is missing. */
  readonly required?: true;
  /** The payload ends with its only NUL. */
  readonly string?: true;
}

/** By attribute type; types that are not listed are ignored. */
export type Policy = Readonly<Record<number, PolicyEntry>>;

/** Payloads by type, the last of duplicates; undefined when the bytes break the policy or end in garbage. */
export function readPolicy(bytes: Uint8Array, policy: Policy): Map<number, Uint8Array> | undefined {
  const found = new Map<number, Uint8Array>();
  const reader = new NlReader(bytes);
  while (reader.next()) {
    const entry = policy[reader.type];
    if (entry === undefined) continue;
    const { length } = reader;
    if (length < entry.min || (entry.max !== undefined && length > entry.max)) return undefined;
    const payload = reader.payload();
    if (entry.string && payload.indexOf(0) !== length - 1) return undefined;
    found.set(reader.type, payload);
  }
  if (reader.leftover > 0) return undefined;
  for (const type of Object.keys(policy)) {
    if (policy[Number(type)]!.required && !found.has(Number(type))) return undefined;
  }
  return found;
}

/** Entries for integers of a fixed size. */
export const exactly = (length: number): PolicyEntry => ({ min: length, max: length });
export const needed = (length: number): PolicyEntry => ({ min: length, max: length, required: true });
