/** dpctl: add-if, del-if, set-if. Each goes on with the next interface after one that failed. */

import { type Dpif, type NetdevRef, PORT_NONE, toDpifError } from '@etherloom/core';
import { type DpctlCommand, type DpctlContext, Report } from './command.js';
import { type InterfaceSpec, parseInterface } from './iface.js';
import { withDevice, withNamed } from './open.js';

/** The type of a port that names none (dpif.h: the default netdev type). */
const DEFAULT_PORT_TYPE = 'system';

/** A number as C's atoi reads it, in 32 bits: digits at the front, otherwise 0; -1 is "any free number". */
function atoi(text: string): number {
  const digits = /^\s*([+-]?\d+)/.exec(text)?.[1];
  return digits === undefined ? 0 : Number(BigInt.asUintN(32, BigInt(digits)));
}

/**
 * Undefined, and reported, for a text without a name; options that are given again are reported, too. Open vSwitch
 * tolerates the latter, and the former where it is `lenient`.
 */
function parseReported(report: Report, text: string, lenient: boolean): InterfaceSpec | undefined {
  const spec = parseInterface(text);
  if (spec.name === '') {
    const shape = `${text} is not a valid network device name`;
    const sentence = `"${text}" names no interface; write NAME[,type=T][,port_no=N][,option=value]...`;
    if (lenient) report.tolerate(shape, sentence);
    else report.fail(shape, sentence);
    return undefined;
  }
  for (const option of spec.duplicates) {
    report.tolerate(
      `duplicate "${option}" option`,
      `"${text}" gives the option "${option}" twice, and the first value was taken; give it once`,
    );
  }
  return spec;
}

/** Adds each interface to `dpif`; the numbers of those that worked, by name. */
export async function addInterfaces(
  context: DpctlContext,
  report: Report,
  dpif: Dpif,
  texts: readonly string[],
): Promise<Record<string, number>> {
  const added: Record<string, number> = {};
  for (const text of texts) {
    const spec = parseReported(report, text, false);
    if (spec === undefined) continue;
    const portNo = await addInterface(context, report, dpif, spec);
    if (portNo !== undefined) added[spec.name] = portNo;
  }
  return added;
}

async function addInterface(
  context: DpctlContext,
  report: Report,
  dpif: Dpif,
  spec: InterfaceSpec,
): Promise<number | undefined> {
  const { name, options } = spec;
  const type = spec.type || DEFAULT_PORT_TYPE;
  const wanted = spec.portNo === undefined ? PORT_NONE : atoi(spec.portNo);
  let device: NetdevRef;
  try {
    // Opened here and by the datapath again (the registry shares it), so that a failure says which of the two it was.
    device = await context.netdevs.open(name, context.dpifs.portOpenType(dpif.type, type), options);
  } catch (error) {
    const failure = toDpifError(error);
    // An empty type means whatever device has the name: it is there, and a port already.
    const isPort = spec.type === '' && failure.code === 'EEXIST';
    report.failWith(
      isPort ? `adding ${name} to ${dpif.name} failed` : `${name}: failed to open network device`,
      failure,
    );
    return undefined;
  }
  try {
    return await dpif.portAdd({ name, type, config: options }, wanted);
  } catch (error) {
    const failure = toDpifError(error);
    const misread = spec.portNo !== undefined && !/^\d+$/.test(spec.portNo) && wanted === 0;
    const sentence = misread
      ? `"port_no=${spec.portNo}" is not a port number; give a whole number`
      : failure.message;
    report.fail(`adding ${name} to ${dpif.name} failed (${failure.strerror})`, sentence);
    return undefined;
  } finally {
    await device.release();
  }
}

const addIf: DpctlCommand = {
  name: 'add-if',
  usage: 'dp iface...',
  minArgs: 2,
  maxArgs: Number.POSITIVE_INFINITY,
  async run(context, args, _options) {
    const report = new Report();
    let ports: Record<string, number> = {};
    await withNamed(context, report, args[0]!, 'opening datapath', async (dpif) => {
      ports = await addInterfaces(context, report, dpif, args.slice(1));
    });
    return report.result({ ports });
  },
};

const delIf: DpctlCommand = {
  name: 'del-if',
  usage: 'dp iface...',
  minArgs: 2,
  maxArgs: Number.POSITIVE_INFINITY,
  async run(context, args, _options) {
    const report = new Report();
    await withNamed(context, report, args[0]!, 'opening datapath', async (dpif) => {
      for (const port of args.slice(1)) await deleteInterface(report, dpif, port);
    });
    return report.result({});
  },
};

/** All-digit names are port numbers, the empty one 0. */
async function deleteInterface(report: Report, dpif: Dpif, port: string): Promise<void> {
  let portNo: number;
  if (/^\d*$/.test(port)) {
    portNo = Number(port);
  } else {
    try {
      portNo = (await dpif.portQueryByName(port)).portNo;
    } catch {
      report.fail(
        `no port named ${port}`,
        `${dpif.name} has no port called "${port}"; "show" lists the ports`,
      );
      return;
    }
  }
  try {
    await dpif.portDel(portNo);
  } catch (error) {
    report.failWith(`deleting port ${port} from ${dpif.name} failed`, toDpifError(error));
  }
}

const setIf: DpctlCommand = {
  name: 'set-if',
  usage: 'dp iface...',
  minArgs: 2,
  maxArgs: Number.POSITIVE_INFINITY,
  async run(context, args, _options) {
    const report = new Report();
    await withNamed(context, report, args[0]!, 'opening datapath', async (dpif) => {
      for (const text of args.slice(1)) {
        const spec = parseReported(report, text, true);
        if (spec !== undefined) await configureInterface(context, report, dpif, spec);
      }
    });
    return report.result({});
  },
};

async function configureInterface(
  context: DpctlContext,
  report: Report,
  dpif: Dpif,
  spec: InterfaceSpec,
): Promise<void> {
  const { name } = spec;
  let port: Awaited<ReturnType<Dpif['portQueryByName']>>;
  try {
    port = await dpif.portQueryByName(name);
  } catch (error) {
    report.failWith(`${name}: failed to query port in ${dpif.name}`, toDpifError(error));
    return;
  }
  if (spec.type !== undefined && spec.type !== port.type) {
    report.fail(
      `${name}: can't change type from ${port.type} to ${spec.type}`,
      `port "${name}" has type ${port.type}, which cannot be changed to ${spec.type}; delete the port and add it again`,
    );
    return;
  }
  if (spec.portNo !== undefined && atoi(spec.portNo) !== port.portNo) {
    report.fail(
      `${name}: can't change port number from ${port.portNo} to ${atoi(spec.portNo) | 0}`,
      `port "${name}" has number ${port.portNo}, which cannot be changed; delete the port and add it again`,
    );
    return;
  }
  if (Object.keys(spec.options).length === 0) return;
  let opened = false;
  try {
    await withDevice(context, dpif, port, async (netdev) => {
      opened = true;
      const config: Record<string, string> = { ...(await netdev.getConfig()) };
      for (const [key, value] of Object.entries(spec.options)) {
        if (value === '') delete config[key];
        else config[key] = value;
      }
      await netdev.setConfig(config);
    });
  } catch (error) {
    const what = opened ? 'failed to configure network device' : 'failed to open network device';
    report.failWith(`${name}: ${what}`, toDpifError(error));
  }
}

export const PORT_COMMANDS: readonly DpctlCommand[] = [addIf, delIf, setIf];
