/** Loads the native bindings (native/*.c) and names the errors of their system calls. The only file that trusts their shape. */

import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { DpifError, errnoCode } from '@etherloom/core/data';

/**
 * The binding native/NAME.node, which must have these functions. At first use, so that importing the package needs no
 * binary; Node keeps what is loaded. ENOSYS when it cannot be loaded.
 */
export function loadBinding<Binding>(name: string, functions: readonly (keyof Binding & string)[]): Binding {
  const path = fileURLToPath(new URL(`../native/${name}.node`, import.meta.url));
  let module: unknown;
  try {
    module = createRequire(import.meta.url)(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new DpifError(
      'ENOSYS',
      `the native part of @etherloom/dpif-userspace cannot be loaded (${reason}): build it with the package's script "native"`,
      { cause: error },
    );
  }
  if (offers<Binding>(module, functions)) return module;
  throw new DpifError(
    'ENOSYS',
    `${path} is of another version: build it anew with the package's script "native"`,
  );
}

/** Names are checked here; the signatures are those of native/*.c, which is compiled from the same package. */
function offers<Binding>(module: unknown, functions: readonly (keyof Binding & string)[]): module is Binding {
  if (typeof module !== 'object' || module === null) return false;
  const members = new Map(Object.entries(module));
  return functions.every((name) => typeof members.get(name) === 'function');
}

/** A system call that failed in a binding, as a `DpifError` that says `what`; other errors as they are. */
export function systemError(error: unknown, what: string): unknown {
  if (!(error instanceof Error) || !('errno' in error) || typeof error.errno !== 'number') return error;
  return new DpifError(errnoCode(error.errno), `${what}: ${error.message}`, { cause: error });
}
