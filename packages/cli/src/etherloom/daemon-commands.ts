/** The commands that ask the daemon for something other than its datapaths. */

import type { FdbEntry } from '../fdb.js';
import { readArray, readNumber, readObject, readString } from '../json.js';
import type { JsonValue } from '../unixctl/protocol.js';
import { type Call, type CliCommand, print } from './command.js';
import { CliError } from './errors.js';
import { renderFdb } from './render.js';

function control({ session }: Call, method: string, params: readonly string[]): Promise<JsonValue> {
  if (session.control === undefined)
    throw new CliError('this asks a running switchd, and there is none: the datapaths are in this process');
  return session.control(method, params);
}

function readFdb(answer: JsonValue): FdbEntry[] {
  return readArray(readObject(answer, 'answer').entries, 'entries').map((item) => {
    const entry = readObject(item, 'entry');
    return {
      port: readNumber(entry.port, 'port'),
      name: readString(entry.name, 'name'),
      vlan: readNumber(entry.vlan, 'vlan'),
      mac: readString(entry.mac, 'mac'),
      age: entry.age === null ? null : readNumber(entry.age, 'age'),
    };
  });
}

export const DAEMON_CLI: readonly CliCommand[] = [
  {
    name: 'fdb',
    usage: '[DATAPATH]',
    minArgs: 0,
    maxArgs: 1,
    datapaths: 'all',
    summary: 'MAC addresses that the switch learned, and on which port',
    options: [],
    examples: ['etherloom fdb', 'etherloom fdb br0'],
    async run(call) {
      const json = await control(call, 'fdb/show', call.args);
      await print(call, { text: renderFdb(readFdb(json), call.streams.screen), json });
    },
  },
  {
    name: 'exit',
    usage: '',
    minArgs: 0,
    maxArgs: 0,
    datapaths: 'none',
    summary: 'stop switchd; the devices that it made disappear',
    options: [],
    examples: ['etherloom exit'],
    async run(call) {
      await print(call, { text: '', json: await control(call, 'exit', []) });
    },
  },
];
