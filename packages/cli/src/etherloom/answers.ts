/** Reads the daemon's JSON answers into typed values, checking every member: the daemon may be of another version. */

import type { DatapathView, PortView } from '../dpctl/show.js';
import type { FdbEntry } from '../fdb.js';
import type { JsonValue } from '../unixctl/protocol.js';
import { CliError, EXIT_SERVER } from './errors.js';

type JsonObject = { readonly [name: string]: JsonValue };

const wrong = (what: string): CliError =>
  new CliError(
    `switchd answered without ${what}; it may be of another version than this command`,
    EXIT_SERVER,
  );

function object(value: JsonValue | undefined, what: string): JsonObject {
  if (typeof value !== 'object' || value === null || isArray(value)) throw wrong(what);
  return value;
}

const isArray = (value: JsonValue): value is readonly JsonValue[] => Array.isArray(value);

function array(value: JsonValue | undefined, what: string): readonly JsonValue[] {
  if (value === undefined || !isArray(value)) throw wrong(what);
  return value;
}

function number(value: JsonValue | undefined, what: string): number {
  if (typeof value !== 'number') throw wrong(what);
  return value;
}

function string(value: JsonValue | undefined, what: string): string {
  if (typeof value !== 'string') throw wrong(what);
  return value;
}

const numbers = (value: JsonValue | undefined, what: string): { readonly [name: string]: number } =>
  Object.fromEntries(
    Object.entries(object(value, what)).map(([key, item]) => [key, number(item, `${what}.${key}`)]),
  );

const strings = (value: JsonValue | undefined, what: string): { readonly [name: string]: string } =>
  Object.fromEntries(
    Object.entries(object(value, what)).map(([key, item]) => [key, string(item, `${what}.${key}`)]),
  );

function readPort(value: JsonValue): PortView {
  const port = object(value, 'a port');
  return {
    number: number(port.number, 'a port number'),
    name: string(port.name, 'a port name'),
    type: string(port.type, 'a port type'),
    config: strings(port.config, 'a port configuration'),
    drops: numbers(port.drops, 'drop counters'),
    stats: numbers(port.stats, 'port statistics'),
  };
}

function readDatapath(value: JsonValue): DatapathView {
  const datapath = object(value, 'a datapath');
  const lookups = object(datapath.lookups, 'lookups');
  const masks = datapath.masks === undefined ? undefined : object(datapath.masks, 'masks');
  const cache = datapath.cache === undefined ? undefined : object(datapath.cache, 'cache');
  return {
    name: string(datapath.name, 'a datapath name'),
    lookups: {
      hit: number(lookups.hit, 'lookups.hit'),
      missed: number(lookups.missed, 'lookups.missed'),
      lost: number(lookups.lost, 'lookups.lost'),
    },
    flows: number(datapath.flows, 'a number of flows'),
    ...(masks && {
      masks: { hit: number(masks.hit, 'masks.hit'), total: number(masks.total, 'masks.total') },
    }),
    ...(cache && { cache: { hit: number(cache.hit, 'cache.hit') } }),
    ports: array(datapath.ports, 'ports').map(readPort),
  };
}

/** The answer of `dpctl/show`. */
export function readShow(value: JsonValue): DatapathView[] {
  return array(object(value, 'an object').datapaths, 'datapaths').map(readDatapath);
}

/** The answer of `dpctl/dump-dps`. */
export function readNames(value: JsonValue): string[] {
  return array(object(value, 'an object').datapaths, 'datapaths').map((name) =>
    string(name, 'a datapath name'),
  );
}

/** The answer of `fdb/show`. */
export function readFdb(value: JsonValue): FdbEntry[] {
  return array(object(value, 'an object').entries, 'entries').map((item) => {
    const entry = object(item, 'an address');
    return {
      port: number(entry.port, 'a port number'),
      name: string(entry.name, 'a port name'),
      vlan: number(entry.vlan, 'a VLAN'),
      mac: string(entry.mac, 'a MAC address'),
      age: entry.age === null ? null : number(entry.age, 'an age'),
    };
  });
}
