/** What ours.ts and the process that it starts say to each other. */

import type { FlowLine } from './workload.js';

export type Request =
  | {
      readonly kind: 'start';
      readonly captures: readonly string[];
      readonly flows: readonly FlowLine[];
      readonly flowsFile: string;
    }
  | { readonly kind: 'measure'; readonly ms: number };

export type Reply = { readonly value: number } | { readonly error: string };

export function isRequest(message: unknown): message is Request {
  return typeof message === 'object' && message !== null && 'kind' in message;
}

export function isReply(message: unknown): message is Reply {
  return typeof message === 'object' && message !== null && ('value' in message || 'error' in message);
}
