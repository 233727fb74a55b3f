/**
 * @etherloom/switchd: the Etherloom daemon. Its parts that others may want: the learning switch, which runs on any
 * datapath, and the daemon itself, for programs that embed it.
 */

export { checkConfig, readConfigFile } from './config/load.js';
export { type Config, type ConfigInput, configSchema } from './config/schema.js';
export { Daemon, type DaemonInit } from './daemon/daemon.js';
export { LearningSwitch, type LearningSwitchInit } from './learning/learning-switch.js';
export { LEARNING_DEFAULTS, type LearningOptions } from './learning/planner.js';
export { UserError } from './user-error.js';
