/** The example driver keeps the netdev contract, over real UDP sockets on the loopback interface. */

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { NetdevRegistry } from '@etherloom/core';
import { describe, it } from 'vitest';
import { UdpProvider } from '../examples/udp-netdev.js';
import { defineSuite, netdevSuite } from '../src/index.js';

const HOST = '127.0.0.1';

const cases = netdevSuite({
  setup: async () => {
    const udp = new UdpProvider();
    const registry = new NetdevRegistry();
    registry.register(udp);
    let names = 0;
    return {
      registry,
      type: udp.type,
      config: {},
      name: () => `udp${names++}`,
      farEnd: async (netdev) => {
        const socket = createSocket('udp4');
        const frames: Uint8Array[] = [];
        socket.on('message', (frame) => frames.push(frame));
        await once(socket.bind(0, HOST), 'listening');
        await netdev.setConfig({ remote: `${HOST}:${socket.address().port}` });
        // The device's own port: what it is sent from.
        const port = udp.devices.get(netdev.name)?.socket.address().port;
        return {
          send: async (sent) => {
            for (const frame of sent) {
              await new Promise((resolve) => socket.send(frame, port, HOST, resolve));
            }
          },
          receive: async () => frames.splice(0),
          close: async () => void socket.close(),
        };
      },
    };
  },
  teardown: async () => undefined,
  supports: {
    'set-etheraddr': 'a UDP device has no address of its own',
    'set-flags': 'a UDP device is always up',
    'largest-frame': 'a datagram carries 65,507 bytes',
    'rx-oversize': 'a datagram carries 65,507 bytes',
    offload: 'a UDP device has no offloads',
    worker: 'the socket belongs to the thread that opened the device',
  },
});

defineSuite('netdev contract: the UDP driver of the examples', cases, { describe, it });
