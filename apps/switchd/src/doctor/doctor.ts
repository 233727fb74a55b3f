/** `switchd --doctor`: whether this machine has what the I/O drivers need, found out by trying. */

import { DEFAULT_DRIVERS } from '../config/schema.js';
import type { Diagnosis } from './check.js';
import { interfaceChecks } from './interfaces.js';
import { machineChecks } from './machine.js';
import { driverChecks } from './trials.js';

/** Looks at the machine, tries the drivers, and looks at `interfaces`. */
export async function diagnose(interfaces: readonly string[]): Promise<Diagnosis> {
  const checks = [
    ...machineChecks(),
    ...(await driverChecks(DEFAULT_DRIVERS, process.cwd())),
    ...interfaces.flatMap(interfaceChecks),
  ];
  return { ok: checks.every(({ result }) => result !== 'fail'), checks };
}
