/**
 * What senders leave beside a packet for their device to finish: VLAN tags, segment sizes. Generic mode cannot see that, nor can
 * native mode where the kernel has no function for it, and both lose it. But senders only do so while a feature of a device says
 * that they may: of a veth's peer, or of a network card's own reception. So those features are off while the port is there.
 */

import { isSystemError, type Link, readLink } from '@etherloom/netdev-linux';
import type { ControlBinding } from './binding.js';
import { featuresOn, setFeatures } from './ethtool.js';
import { atPeer, inNamespace, type Place } from './peer.js';

const PEER_TAGS = ['tx-vlan-hw-insert', 'tx-vlan-stag-hw-insert'];
/** Of TCP the sizes can be done without (unfinished.hot.ts), and what is sent in one piece saves much. */
const PEER_SEGMENTS = ['tx-udp-segmentation'];
const CARD_TAGS = ['rx-vlan-hw-parse', 'rx-vlan-stag-hw-parse'];

export class SenderFeatures {
  readonly #native: ControlBinding;
  readonly #control: number;
  readonly #ifindex: number;
  readonly #netns: string | undefined;
  readonly #names: readonly string[];
  /** What was on before. */
  #taken: readonly string[] = [];

  /** Turns off, of device `link`, what is not to be beside its packets; `segments`: of UDP, too. Does not fail. */
  constructor(
    native: ControlBinding,
    control: number,
    link: Link,
    netns: string | undefined,
    segments: boolean,
  ) {
    this.#native = native;
    this.#control = control;
    this.#ifindex = link.ifindex;
    this.#netns = netns;
    const ofPeer = segments ? [...PEER_TAGS, ...PEER_SEGMENTS] : PEER_TAGS;
    this.#names = link.kind === 'veth' ? ofPeer : link.kind === '' ? CARD_TAGS : [];
    this.#at(link, ({ control: there, device }) => {
      const on = featuresOn(native, there, device, this.#names);
      setFeatures(native, there, device, on, false);
      const left = featuresOn(native, there, device, this.#names);
      this.#taken = on.filter((name) => !left.includes(name));
    });
  }

  /** `features`: what is off, and where; `warning`: what gets lost, with the command that helps. */
  status(link: Link): Record<string, string> {
    const beside = 'VLAN tags or segment sizes beside the packet, where AF_XDP loses them';
    if (this.#names.length === 0) {
      return link.kind === 'tun'
        ? {}
        : { warning: `a device of kind "${link.kind}" may have ${beside}: use type afpacket` };
    }
    const status = this.#at(link, ({ control, device, prefix }): Record<string, string> => {
      const off: Record<string, string> = {};
      if (this.#taken.length > 0) off.features = this.#said(device, prefix);
      const on = featuresOn(this.#native, control, device, this.#names);
      if (on.length === 0) return off;
      const run = `run "${prefix}ethtool -K ${device} ${switchOff(on)}"`;
      return { ...off, warning: `"${device}" leaves ${beside}: ${run}, or use type afpacket` };
    });
    if (status !== undefined) return status;
    return {
      warning: `the peer of "${link.name}" is in a network namespace that cannot be entered from here, and may leave ${beside}: run "ethtool -K DEVICE ${switchOff(this.#names)}" there, or use type afpacket`,
    };
  }

  /** Turns on again what was. Does not fail: a device that is gone, or that left for where we do not get, stays as it is. */
  restore(): void {
    if (this.#taken.length === 0) return;
    const taken = this.#taken;
    this.#taken = [];
    try {
      this.#at(readLink(this.#native, this.#control, this.#ifindex), ({ control, device }) =>
        setFeatures(this.#native, control, device, taken, true),
      );
    } catch (error) {
      if (!isSystemError(error)) throw error;
    }
  }

  #said(device: string, prefix: string): string {
    const whose = `"${device}"${prefix === '' ? '' : ` (${prefix.trimEnd()})`}`;
    return `off at ${whose} while this port is there: ${this.#taken.join(', ')}`;
  }

  /** What `visit` makes of the device that has the features. */
  #at<Result>(link: Link, visit: (place: Place) => Result): Result | undefined {
    if (link.kind === 'veth') return atPeer(this.#native, this.#control, link, this.#netns, visit);
    return visit({ control: this.#control, device: link.name, prefix: inNamespace(this.#netns) });
  }
}

/** Arguments of ethtool. */
const switchOff = (names: readonly string[]): string => names.map((name) => `${name} off`).join(' ');
