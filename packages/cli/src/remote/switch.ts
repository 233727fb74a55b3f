/** A running switchd as providers of datapaths and devices. */

import { type DpifBackend, type DpifProvider, DpifRegistry, NetdevRegistry } from '@etherloom/core';
import { UnixctlClient } from '../unixctl/client.js';
import { RemoteBackend } from './backend.js';
import { RemoteNetdevProvider } from './device.js';
import { Link } from './link.js';
import * as methods from './methods.js';

/**
 * A connection to a running switchd, over which its datapaths are ordinary ones. What is opened lives with the
 * connection: when it ends, whichever way, the server closes every handle.
 */
export class RemoteSwitch {
  /** One provider per datapath type of the switchd. */
  readonly dpifProviders: readonly DpifProvider[];
  /** One provider per device type: the control halves only. */
  readonly netdevProviders: readonly RemoteNetdevProvider[];
  /** The connection, for control commands. */
  readonly client: UnixctlClient;

  private constructor(client: UnixctlClient, link: Link, { datapaths, devices }: methods.Inventory) {
    this.client = client;
    this.dpifProviders = Object.entries(datapaths).map(([type, portTypes]) =>
      remoteProvider(link, type, portTypes),
    );
    this.netdevProviders = devices.map((type) => new RemoteNetdevProvider(link, type));
  }

  /** Connects to the control socket at `path`. Rejects with a `UnixctlConnectionError`, or as `over` does. */
  static async connect(path: string): Promise<RemoteSwitch> {
    const client = await UnixctlClient.connect(path);
    try {
      return await RemoteSwitch.over(client);
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /** The same over a connection that is there. Rejects with a `DpifError`, EOPNOTSUPP when no switchd is at its other end. */
  static async over(client: UnixctlClient): Promise<RemoteSwitch> {
    const link = new Link(client);
    await link.start();
    const inventory = await link.call(methods.describe, undefined);
    return new RemoteSwitch(client, link, inventory);
  }

  /** Registries with nothing in them but this switchd. */
  registries(): { readonly dpifs: DpifRegistry; readonly netdevs: NetdevRegistry } {
    const dpifs = new DpifRegistry();
    const netdevs = new NetdevRegistry();
    for (const provider of this.dpifProviders) dpifs.register(provider);
    for (const provider of this.netdevProviders) netdevs.register(provider);
    return { dpifs, netdevs };
  }

  /** Ends the connection; what is open is closed by the server, and calls under way reject with ENOTCONN. */
  close(): void {
    this.client.close();
  }
}

function remoteProvider(link: Link, type: string, portTypes: Readonly<Record<string, string>>): DpifProvider {
  return {
    type,
    enumerate: () => link.call(methods.enumerate, type),
    portOpenType: (portType) => (Object.hasOwn(portTypes, portType) ? portTypes[portType]! : portType),
    open: async (name: string, create: boolean): Promise<DpifBackend> =>
      new RemoteBackend(link, await link.call(methods.open, { type, name, create })),
  };
}
