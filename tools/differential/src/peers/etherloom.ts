/** Our switchd as a peer. */

import { UnixctlClient } from '@etherloom/cli';
import { appctl, DpctlSwitch, type Outcome, SWITCH_PORTS } from '@etherloom/conformance';
import { type Peer, PeerGoneError, prepare, transactOn } from './peer.js';

const DATAPATH = 'dummy@ovs-dummy';
const PORTS = SWITCH_PORTS.map(({ name, type, number }) => `${name},type=${type},port_no=${number}`);

export class EtherloomPeer implements Peer {
  readonly #daemon: DpctlSwitch;

  readonly #client: UnixctlClient;

  private constructor(daemon: DpctlSwitch, client: UnixctlClient) {
    this.#daemon = daemon;
    this.#client = client;
  }

  static async start(vlanLimit: number): Promise<EtherloomPeer> {
    const daemon = await DpctlSwitch.start(vlanLimit);
    try {
      return new EtherloomPeer(daemon, await UnixctlClient.connect(daemon.socket));
    } catch (error) {
      await daemon.stop();
      throw error;
    }
  }

  get directory(): string {
    return this.#daemon.directory;
  }

  async run(cmd: readonly string[], real: boolean): Promise<Outcome> {
    const { socket } = this.#daemon;
    return this.#daemon.recorded(await (real ? appctl(socket, cmd) : transactOn(this.#client, socket, cmd)));
  }

  async transmitted(port: string): Promise<string[]> {
    const { exit, stdout, stderr } = await this.run(['netdev-dummy/transmitted', port], false);
    if (exit !== 0) throw new PeerGoneError(`port ${port} of switchd is gone: ${stderr.trim()}`);
    return stdout.split('\n').slice(0, -1);
  }

  async reset(): Promise<void> {
    const { stdout } = await this.run(['dpctl/dump-dps'], false);
    for (const name of stdout.split('\n').slice(0, -1)) await prepare(this, ['dpctl/del-dp', name]);
    await prepare(this, ['dpctl/add-dp', DATAPATH, ...PORTS]);
  }

  stop(): Promise<void> {
    this.#client.close();
    return this.#daemon.stop();
  }
}
