/** `dpif-dummy/change-port-number`: a port of a dummy datapath gets another number, as if the datapath had thought better of it. */

import { type DpctlContext, openNamed } from '@etherloom/cli';
import { type Dpif, isDpifError, PORT_NONE } from '@etherloom/core';
import type { ControlCommand } from './command.js';

export function dpifDummyCommands(context: DpctlContext): ControlCommand[] {
  return [
    {
      name: 'dpif-dummy/change-port-number',
      usage: 'dp port new-number',
      minArgs: 3,
      maxArgs: 3,
      async run([datapath = '', port = '', text = '']) {
        const dpif = await orSay('unknown datapath or not a dummy', () =>
          openNamed(context, `dummy@${datapath}`),
        );
        try {
          await renumber(context, dpif, port, text);
        } finally {
          await dpif.close();
        }
        return { text: '', json: {} };
      },
    },
  ];
}

async function renumber(context: DpctlContext, dpif: Dpif, name: string, text: string): Promise<void> {
  const { portNo, type } = await orSay('unknown port', () => dpif.portQueryByName(name));
  const wanted = /^\d+$/.test(text) ? Number(text) : 0;
  if (wanted === 0 || wanted >= PORT_NONE) throw new Error('bad port number');
  if (await exists(dpif, wanted)) throw new Error('port number already in use');
  // With a reference of our own the device stays open between its two lives as a port, and keeps options and statistics.
  const device = await context.netdevs.open(name, context.dpifs.portOpenType(dpif.type, type));
  try {
    await dpif.portDel(portNo);
    await dpif.portAdd({ name, type }, wanted);
  } finally {
    await device.release();
  }
}

async function exists(dpif: Dpif, portNo: number): Promise<boolean> {
  try {
    await dpif.portQueryByNumber(portNo);
    return true;
  } catch (error) {
    if (isDpifError(error)) return false;
    throw error;
  }
}

/** Does what a contract may refuse; then `words` are the answer. */
async function orSay<T>(words: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isDpifError(error)) throw new Error(words, { cause: error });
    throw error;
  }
}
