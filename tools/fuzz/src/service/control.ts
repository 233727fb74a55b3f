/**
 * The control socket of a switchd in a process of its own: any bytes, cut anywhere, and connections closed in any way.
 * Found is whatever ends it, keeps it from answering others, makes it grow, or surprises its own code.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UnixctlClient } from '@etherloom/cli';
import { bytesOfText, type Input, Violation } from '../target.js';
import { REQUESTS } from './control-seeds.js';
import type { Service } from './service.js';

const SWITCHD = fileURLToPath(new URL('../../../../apps/switchd/bin/switchd.js', import.meta.url));
/** Milliseconds within which every connection must have its answers, and others theirs. */
const PATIENCE = 15_000;
/** Inputs after which the datapaths are as at the start again, and memory and descriptors are looked at. */
const ROUND = 250;
/** Of V8's heap, buffers and one packet arena per datapath type. */
const MAX_MEMORY = 800 << 20;
/** 64 connections and some devices. */
const MAX_DESCRIPTORS = 200;
/** What only code that is wrong says. */
const SURPRISE =
  /Cannot read properties|is not a function|is not iterable|Maximum call stack|Invalid array length|is not defined|Cannot access|control connection failed|"level":[56]0/;

/** The last bytes of an input say what becomes of the connection. */
const ENDINGS = ['half', 'close', 'destroy', 'wait'] as const;

export class ControlService implements Service {
  readonly parts = [
    { name: 'requests', kind: 'text', maxLength: 64 << 10 },
    { name: 'size of pieces, ending', kind: 'knobs', maxLength: 2 },
  ] as const;
  #directory = '';
  #child: ChildProcess | undefined;
  #ended: number | string | undefined;
  #socket = '';
  #canary: UnixctlClient | undefined;
  #runs = 0;

  seeds(): Input[] {
    return REQUESTS.map((requests, i) => [bytesOfText(requests), Uint8Array.of(0, i % ENDINGS.length)]);
  }

  async start(): Promise<void> {
    this.#directory = mkdtempSync(join(tmpdir(), 'fuzz-control-'));
    const config = join(this.#directory, 'switch.json');
    // Nothing that reaches the machine's own devices.
    writeFileSync(config, JSON.stringify({ dummy: true, drivers: ['@etherloom/netdev-dummy'] }));
    const runDir = join(this.#directory, 'run');
    const child = spawn(process.execPath, [SWITCHD, '--config', config, '--run-dir', runDir], {
      cwd: this.#directory,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#child = child;
    this.#socket = join(runDir, `switchd.${child.pid}.ctl`);
    child.on('exit', (code, signal) => {
      this.#ended = code ?? signal ?? 'somehow';
    });
    await new Promise<void>((resolve, reject) => {
      child.on('exit', () => reject(new Error('switchd did not start')));
      child.stdout?.once('data', () => resolve());
    });
    this.#canary = await UnixctlClient.connect(this.#socket);
    await this.#reset();
  }

  async run([requests, knobs]: Input): Promise<string> {
    const [size = 0, ending = 0] = knobs ?? [];
    const text = await this.#send(requests ?? new Uint8Array(), size, ENDINGS[ending % ENDINGS.length]!);
    await this.#check(text);
    // Numbers and quoted texts differ without meaning.
    return text.replace(/\\"[^"]*\\"|'[^']*'|\d+/g, '#').slice(0, 300);
  }

  async stop(): Promise<void> {
    this.#canary?.close();
    const child = this.#child;
    if (child !== undefined && this.#ended === undefined) {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await gone;
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** Writes an input to a connection of its own; resolves to what came back. */
  #send(bytes: Uint8Array, size: number, ending: (typeof ENDINGS)[number]): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect({ path: this.#socket, allowHalfOpen: true });
      let text = '';
      const finish = (): void => {
        clearTimeout(timer);
        socket.destroy();
        resolve(text);
      };
      const timer = setTimeout(() => {
        socket.destroy();
        reject(new Violation('a connection is answered and closed in time', `after ${text.length} bytes`));
      }, PATIENCE);
      socket.on('data', (chunk: Buffer) => {
        if (text.length < 1 << 20) text += chunk.toString('latin1');
        // One request at least was answered.
        if (ending === 'wait') finish();
      });
      socket.on('error', finish);
      socket.on('end', finish);
      socket.on('connect', () => {
        const step = size === 0 ? bytes.length : size;
        for (let at = 0; at < bytes.length; at += step) socket.write(bytes.subarray(at, at + step));
        if (ending === 'destroy') socket.write('', () => finish());
        else if (ending === 'close') socket.end(() => finish());
        else if (ending === 'half') socket.end();
        // Perhaps there is nothing to be answered.
        else setTimeout(finish, 30);
      });
    });
  }

  async #check(text: string): Promise<void> {
    const log = join(this.#directory, 'run', 'switchd.log');
    const surprise = SURPRISE.exec(text) ?? SURPRISE.exec(readFileSync(log, 'utf8'));
    if (surprise !== null)
      throw new Violation('its own code is never surprised', surprise.input.slice(-4000));
    truncateSync(log);
    try {
      await this.#canary?.transact('version', [], PATIENCE);
    } catch (error) {
      if (this.#ended !== undefined) throw new Violation('it lives on', `it ended with ${this.#ended}`);
      // Cut off to make room for others, since nothing is open for it.
      if (!String(error).includes('closed the connection')) throw error;
      this.#canary = await UnixctlClient.connect(this.#socket);
    }
    if (++this.#runs % ROUND === 0) await this.#reset();
  }

  /** Deletes every datapath, makes a new one, and looks whether the daemon has grown. */
  async #reset(): Promise<void> {
    const client = this.#canary!;
    const names = String(await client.transact('dpctl/dump-dps')).split('\n');
    for (const name of names) if (name !== '') await client.transact('dpctl/del-dp', [name]).catch(() => {});
    await client.transact('vlog/set', ['file:info']);
    await client.transact('dpctl/add-dp', ['dummy@br0', 'p1,type=dummy', 'p2,type=dummy']).catch(() => {});
    const proc = `/proc/${this.#child?.pid}`;
    const resident = Number(/VmRSS:\s*(\d+)/.exec(readFileSync(`${proc}/status`, 'utf8'))?.[1]) * 1024;
    if (resident > MAX_MEMORY) throw new Violation('its memory is bounded', `${resident} bytes`);
    const descriptors = readdirSync(`${proc}/fd`).length;
    if (descriptors > MAX_DESCRIPTORS) throw new Violation('its descriptors are bounded', `${descriptors}`);
    if (statSync(this.#socket, { throwIfNoEntry: false }) === undefined) {
      throw new Violation('its socket stays', 'it is gone');
    }
  }
}
