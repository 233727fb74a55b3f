/**
 * @etherloom/cli: dpctl, Open vSwitch's datapath control commands, over the dpif contract; the control protocol that
 * carries them (unixctl); and the command `etherloom`, which drives a running switchd with both.
 */

export * from './dpctl/index.js';
export { main as etherloom } from './etherloom/main.js';
export type { Screen, Streams } from './etherloom/session.js';
export { DEFAULT_RUN_DIR, defaultRunDir } from './etherloom/target.js';
export { type FdbEntry, formatFdb } from './fdb.js';
export { JsonShapeError } from './json.js';
export * from './remote/index.js';
export * from './unixctl/client.js';
export * from './unixctl/protocol.js';
export * from './unixctl/splitter.js';
