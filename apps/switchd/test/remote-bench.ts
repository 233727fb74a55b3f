/** A switchd process whose devices are in memory, and what the dpif suite needs to test it from outside. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RemoteSwitch, type UnixctlClient } from '@etherloom/cli';
import type { FarEnd } from '@etherloom/compliance';
import { DaemonBench } from './daemon-bench.js';

const DRIVER = fileURLToPath(new URL('./fixtures/memory-driver.mjs', import.meta.url));
/** Bytes of frames in hexadecimal that one request takes. */
const MOST = 500_000;

export class RemoteBench {
  readonly daemon = new DaemonBench();
  /** The control socket. */
  path = '';
  /** The daemon's process. */
  pid = 0;

  async start(): Promise<void> {
    const file = join(this.daemon.root, 'switch.json');
    writeFileSync(file, JSON.stringify({ dummy: true, drivers: [DRIVER] }));
    const { child } = await this.daemon.running('--config', file);
    this.pid = child.pid ?? 0;
    this.path = join(this.daemon.runDir, `switchd.${child.pid}.ctl`);
  }

  connect(): Promise<RemoteSwitch> {
    return RemoteSwitch.connect(this.path);
  }

  /** Deletes what a case left behind, and ends its connection. */
  async leave(remote: RemoteSwitch): Promise<void> {
    remote.close();
    const other = await this.connect();
    const { dpifs } = other.registries();
    for (const type of dpifs.types()) {
      for (const name of await dpifs.names(type)) {
        const dpif = await dpifs.open(name, type);
        await dpif.delete();
        await dpif.close();
      }
    }
    other.close();
  }
}

/** The far end of a device in memory of the switchd that `client` talks to. */
export function memoryFarEnd(client: UnixctlClient, name: string): FarEnd {
  return {
    async send(frames) {
      let request: string[] = [];
      let size = 0;
      for (const frame of frames) {
        const hex = Buffer.from(frame).toString('hex');
        request.push(hex);
        size += hex.length;
        if (size < MOST) continue;
        await client.transact('netdev-dummy/receive', [name, ...request]);
        request = [];
        size = 0;
      }
      if (request.length > 0) await client.transact('netdev-dummy/receive', [name, ...request]);
    },
    async receive() {
      const answer = await client.transact('netdev-dummy/transmitted', [name]);
      const packets =
        typeof answer === 'object' && answer !== null && 'packets' in answer ? answer.packets : [];
      return Array.isArray(packets)
        ? packets.map((hex) => new Uint8Array(Buffer.from(String(hex), 'hex')))
        : [];
    },
    close: async () => undefined,
  };
}
