/**
 * Devices of type `system`: any interface of the kernel, by AF_XDP where the device's driver runs it, else by AF_PACKET. Which
 * one it is, and why not the other, is in the device's capabilities and status.
 *
 * Generic mode is for those who ask for it: it forwards small packets at twice the rate of a packet socket, but has other devices
 * than the port's change how they send (beside.ts), and still loses what some kinds of devices keep beside the packet.
 */

import { type ErrnoCode, isDpifError, type Netdev, type NetdevConfig } from '@etherloom/core';
import { openAfpacket } from './afpacket/device.js';
import { openAfxdp } from './afxdp/device.js';
import { parseAfxdpOptions } from './config.js';

const TYPE = 'system';
/** Errors that say that AF_XDP cannot be had here: the kernel, the device's driver or a privilege is missing. */
const CANNOT_BE_HAD = new Set<ErrnoCode>(['EOPNOTSUPP', 'EAFNOSUPPORT', 'EPERM', 'EACCES']);

/** Opens device `name`. With `mode` there is no fallback, since AF_PACKET has no such thing. */
export async function openSystem(name: string, config: NetdevConfig): Promise<Netdev> {
  try {
    return await openAfxdp(name, config, TYPE, ['native']);
  } catch (error) {
    if (!isDpifError(error) || !CANNOT_BE_HAD.has(error.code)) throw error;
    const { mode, netns, up } = parseAfxdpOptions(name, config);
    if (mode !== 'auto') throw error;
    const options = { up: String(up), ...(netns === undefined ? {} : { netns }) };
    return openAfpacket(name, options, TYPE, [{ mode: 'afxdp', reason: error.message }]);
  }
}
