/** A complete driver, as an example: the wire is UDP, a frame one datagram; option `remote` says where frames go. */

import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import * as core from '@etherloom/core';

const ETH_HEADER = 14;
/** What fits a datagram, and how many wait at most: later ones are lost, and counted as the device's own loss. */
const MAX_FRAME = 65_507;
const RING = 1024;

const invalid = (message: string) => new core.DpifError('EINVAL', message);
const unsupported = () => Promise.reject(new core.DpifError('EOPNOTSUPP', 'a UDP device has none to be set'));

export class UdpNetdev implements core.Netdev {
  readonly type = 'udp';
  readonly capabilities = { rxQueues: 1, txQueues: 1, maxFrame: MAX_FRAME, txOffloads: 0, rxOffloads: 0 };
  readonly counters = new SharedArrayBuffer(core.QUEUE_COUNTERS * 8);
  /** Received and not taken yet, and who is to be told of the first one. */
  readonly waiting: Uint8Array[] = [];
  wake: (() => void) | undefined;
  remote: { readonly host: string; readonly port: number } | undefined;
  mtu = 1500;
  #rxDropped = 0;
  #config: core.NetdevConfig = {};

  constructor(
    readonly name: string,
    readonly socket: Socket,
  ) {
    socket.on('message', (frame) => {
      if (this.waiting.length === RING) this.#rxDropped++;
      else if (this.waiting.push(frame) === 1) this.wake?.();
    });
  }

  async setConfig(config: core.NetdevConfig): Promise<void> {
    const [, host, port] = /^(.+):(\d{1,5})$/.exec(config.remote ?? '') ?? [];
    const known = Object.keys(config).every((option) => option === 'remote');
    if (!known || (config.remote !== undefined && !(Number(port) <= 65_535))) {
      throw invalid(`options ${JSON.stringify(config)}: a UDP device takes remote=ADDRESS:PORT, or none`);
    }
    this.remote = host === undefined ? undefined : { host, port: Number(port) };
    this.#config = { ...config };
  }
  async setMtu(mtu: number): Promise<void> {
    const possible = Number.isInteger(mtu) && mtu >= 68 && mtu <= MAX_FRAME - ETH_HEADER;
    if (!possible) throw invalid(`a UDP device cannot have an MTU of ${mtu} bytes`);
    this.mtu = mtu;
  }
  async getStats(): Promise<core.NetdevStats> {
    const [rxPackets, rxBytes, txPackets, txBytes] = new Float64Array(this.counters);
    const [rx, tx] = [
      { rxPackets: rxPackets!, rxBytes: rxBytes! },
      { txPackets: txPackets!, txBytes: txBytes! },
    ];
    return { ...rx, ...tx, rxDropped: this.#rxDropped };
  }
  queueDescriptor(index: number): core.QueueDescriptor {
    if (index !== 0) throw invalid(`a UDP device has queue 0 only, not ${index}`);
    return { module: import.meta.url, netdev: this.name, index, counters: this.counters };
  }
  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.socket.close(resolve)).catch(() => undefined);
  }
  getConfig = async () => this.#config;
  getMtu = async () => this.mtu;
  getEtheraddr = async () => '02:00:00:00:00:01';
  setEtheraddr = unsupported;
  getCarrier = async () => this.remote !== undefined;
  getCarrierResets = async () => 0;
  getFeatures = async () => ({});
  getFlags = async () => ({ up: true, promisc: true, loopback: false });
  setFlags = unsupported;
  getIfindex = async () => 0;
}

/** The device type "udp". */
export class UdpProvider implements core.NetdevProvider {
  readonly type = 'udp';
  readonly devices = new Map<string, UdpNetdev>();

  async open(name: string, config: core.NetdevConfig): Promise<UdpNetdev> {
    const socket = createSocket('udp4');
    await once(socket.bind(0), 'listening');
    const device = new UdpNetdev(name, socket);
    this.devices.set(name, device);
    socket.once('close', () => this.devices.delete(name));
    await device
      .setConfig(config)
      .catch((error: unknown) => device.close().then(() => Promise.reject(error)));
    return device;
  }

  /** Moves frames between the arena and the socket. */
  openQueue({ netdev }: core.QueueDescriptor, { pool, drops }: core.QueueResources): core.NetdevQueue {
    const device = this.devices.get(netdev)!;
    const counters = new Float64Array(device.counters);
    const { bytes, view } = pool.arena;
    const drop = (reason: number) => {
      drops[reason]! += 1;
    };
    const receive = (frame: Uint8Array, batch: core.PacketBatch) => {
      const data = frame.length < ETH_HEADER ? -1 : pool.allocFor(frame.length);
      if (data < 0) return drop(frame.length < ETH_HEADER ? core.DROP_RX_RUNT : core.DROP_NO_FRAME);
      bytes.set(frame, data);
      batch.push(data, frame.length);
      counters[core.QUEUE_RX_PACKETS]! += 1;
      counters[core.QUEUE_RX_BYTES]! += frame.length;
    };
    const send = (data: number, length: number) => {
      const { remote, socket, mtu } = device;
      let longest = mtu + ETH_HEADER;
      for (let at = data + 12; [0x8100, 0x88a8].includes(view.getUint16(at)); at += 4) longest += 4;
      if (length > longest) return drop(core.DROP_TX_TOO_BIG);
      if (remote === undefined) return drop(core.DROP_TX_DOWN);
      // The socket sends later, when the frame has gone back to the pool: it gets a copy.
      socket.send(bytes.slice(data, data + length), remote.port, remote.host, () => undefined);
      counters[core.QUEUE_TX_PACKETS]! += 1;
      counters[core.QUEUE_TX_BYTES]! += length;
    };
    return {
      pollFd: -1,
      setWake(wake) {
        device.wake = wake;
        if (device.waiting.length > 0) queueMicrotask(() => device.wake === wake && wake?.());
      },
      rxBurst(batch) {
        const before = batch.count;
        while (batch.count < batch.capacity && device.waiting.length > 0)
          receive(device.waiting.shift()!, batch);
        return batch.count - before;
      },
      txBurst(batch) {
        const before = counters[core.QUEUE_TX_PACKETS]!;
        for (let i = 0; i < batch.count; i++) {
          send(batch.data[i]!, batch.length[i]!);
          pool.release(batch.data[i]!);
        }
        batch.count = 0;
        return counters[core.QUEUE_TX_PACKETS]! - before;
      },
      close: () => {
        device.wake = undefined;
      },
    };
  }
}
