/** Loads the I/O driver modules that the configuration names. */

import { createRequire } from 'node:module';
import { isAbsolute, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type DriverModule, isDpifError, NetdevRegistry } from '@etherloom/core';
import { UserError } from '../user-error.js';

/**
 * Imports each module and registers its device types. Names are found as Node finds them from switchd and then from
 * `directory`, paths relative to `directory` (that of the config file). Throws a `UserError`.
 */
export async function loadDrivers(names: readonly string[], directory: string): Promise<NetdevRegistry> {
  const registry = new NetdevRegistry();
  for (const name of names) {
    const loaded = await importDriver(name, directory);
    if (!isDriver(loaded)) {
      throw new UserError(
        `driver "${name}" exports no createNetdevProviders(), as every I/O driver does; correct "drivers"`,
      );
    }
    try {
      for (const provider of loaded.createNetdevProviders()) {
        if (!isProvider(provider)) throw new Error('its providers must have a type, open() and openQueue()');
        registry.register(provider);
      }
    } catch (error) {
      throw new UserError(`driver "${name}" cannot be used: ${reason(error)}`);
    }
  }
  return registry;
}

const isDriver = (module: unknown): module is DriverModule =>
  typeof module === 'object' &&
  module !== null &&
  'createNetdevProviders' in module &&
  typeof module.createNetdevProviders === 'function';

/** Whether it is what its type says: a driver may be anybody's, and need not be TypeScript. */
const isProvider = (provider: unknown): boolean =>
  typeof provider === 'object' &&
  provider !== null &&
  'type' in provider &&
  typeof provider.type === 'string' &&
  provider.type !== '' &&
  'open' in provider &&
  typeof provider.open === 'function' &&
  'openQueue' in provider &&
  typeof provider.openQueue === 'function';

const reason = (error: unknown): string =>
  isDpifError(error) || error instanceof Error
    ? error.message.split('\n')[0]!.replace(/ imported from .*/, '')
    : String(error);

async function importDriver(name: string, directory: string): Promise<unknown> {
  const isPath = name.startsWith('.') || isAbsolute(name);
  try {
    return await import(isPath ? pathToFileURL(resolve(directory, name)).href : name);
  } catch (error) {
    if (isPath || !isNotFound(error)) throw cannotLoad(name, error);
  }
  try {
    const file = createRequire(join(resolve(directory), 'config')).resolve(name);
    return await import(pathToFileURL(file).href);
  } catch (error) {
    throw cannotLoad(name, error);
  }
}

const isNotFound = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND';

const cannotLoad = (name: string, error: unknown): UserError =>
  new UserError(`driver "${name}" cannot be loaded: ${reason(error)}; install it or correct "drivers"`);
