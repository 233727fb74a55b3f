/** What the commands work on: datapaths, here or in a running switchd. */

import type { DpctlContext } from '../dpctl/index.js';
import type { JsonValue } from '../unixctl/protocol.js';

export interface Session {
  readonly context: DpctlContext;
  /** Runs a control command of the daemon and resolves to its answer as JSON. Absent for datapaths in this process. */
  readonly control?: (method: string, params: readonly string[]) => Promise<JsonValue>;
  close(): void;
}

/** Where output goes. */
export interface Screen {
  readonly terminal: boolean;
  readonly colour: boolean;
}

export interface Streams {
  /** May resolve when there is room for more. Bytes are capture files. */
  out(data: string | Uint8Array): void | Promise<void>;
  error(text: string): void;
  readonly screen: Screen;
  /** Ends commands that would go on for ever. */
  readonly signal?: AbortSignal;
}
