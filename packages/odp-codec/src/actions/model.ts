/**
 * The typed model of actions: plain objects that survive JSON. Numbers are unsigned and at most 32 bits; MAC and IP
 * addresses are text; wider numbers and byte strings are `0x` and digits. Where an action is a list of optional
 * attributes (userspace, ct, nat, psample), the order of the properties is the order of the attributes.
 */
import type { KeyModel } from '../key/schema.js';

/** One entry of an MPLS label stack. */
export interface MplsEntry {
  /** 20 bits. */
  label: number;
  /** 3 bits. */
  tc: number;
  /** 8 bits. */
  ttl: number;
  /** Bottom of stack: 0 or 1. */
  bos: number;
}

/** What all cookies carry: the OpenFlow in_port (default 65535, none) and the UUID of the bridge (default 0). */
export interface CookieOrigin {
  ofpInPort?: number;
  /** 16 bytes. */
  ofproto?: string;
}

/** The cookie that Open vSwitch's clients put into `userdata`; only they give it a meaning. */
export type Cookie =
  | ({ type: 'sFlow'; vlanTci: number; output: number } & CookieOrigin)
  | ({ type: 'slow_path'; reason: number } & CookieOrigin)
  | ({
      type: 'flow_sample';
      /** 16 bits. */
      probability: number;
      collectorSetId: number;
      obsDomainId: number;
      obsPointId: number;
      outputPort: number;
      /** 0 default, 1 ingress, 2 egress. */
      direction: number;
    } & CookieOrigin)
  | ({ type: 'ipfix'; outputPort: number } & CookieOrigin)
  | ({
      type: 'controller';
      dontSend: boolean;
      continuation: boolean;
      /** 16 bits. */
      reason: number;
      recircId: number;
      /** 64 bits. */
      ruleCookie: string;
      /** 16 bits. */
      controllerId: number;
      /** 16 bits. */
      maxLen: number;
    } & CookieOrigin);

/** Address translation of a `ct` action; flags are `true` or absent. */
export interface Nat {
  src?: true;
  dst?: true;
  /** IPv4 or IPv6 text; `ipMax` must be of the same family. */
  ipMin?: string;
  ipMax?: string;
  protoMin?: number;
  protoMax?: number;
  persistent?: true;
  hash?: true;
  random?: true;
}

export type Action =
  | { type: 'output'; port: number }
  | {
      type: 'userspace';
      pid: number;
      userdata?: Cookie | string;
      tunnelOutPort?: number;
      actions?: true;
    }
  /** Writes a whole header. `key` holds exactly one attribute. */
  | { type: 'set'; key: KeyModel }
  /** Writes the bits of `key` that are 1 in `mask`. Both hold the same one attribute. */
  | { type: 'set_masked'; key: KeyModel; mask: KeyModel }
  /** `cfi` is the bit that says "tag present"; 1 in every tag that is to be sent. */
  | { type: 'push_vlan'; tpid: number; vid: number; pcp: number; cfi: number }
  | { type: 'pop_vlan' }
  /** Runs `actions` for `probability` / 4294967295 of the packets. */
  | { type: 'sample'; probability: number; actions: Action[] }
  | { type: 'recirc'; id: number }
  /** `algorithm`: 0 l4, 1 symmetric l4. */
  | { type: 'hash'; algorithm: number; basis: number }
  | ({ type: 'push_mpls'; ethType: number } & MplsEntry)
  | { type: 'pop_mpls'; ethType: number }
  | {
      type: 'ct';
      commit?: true;
      forceCommit?: true;
      zone?: number;
      mark?: { value: number; mask: number };
      /** 128 bits each. */
      labels?: { value: string; mask: string };
      helper?: string;
      eventMask?: number;
      timeout?: string;
      nat?: Nat;
    }
  /** Cuts the packet to `maxLen` bytes for the next output. */
  | { type: 'trunc'; maxLen: number }
  | { type: 'push_eth'; src: string; dst: string }
  | { type: 'pop_eth' }
  | { type: 'ct_clear' }
  | {
      type: 'push_nsh';
      flags: number;
      ttl: number;
      mdtype: number;
      np: number;
      /** 24 bits. */
      spi: number;
      si: number;
      /** With mdtype 1: four words. */
      context?: [number, number, number, number];
      /** With mdtype 2: whole TLVs. */
      md2?: string;
    }
  | { type: 'pop_nsh' }
  | { type: 'meter'; id: number }
  /** Runs `actions` on a copy: what they change does not show afterwards. */
  | { type: 'clone'; actions: Action[] }
  | { type: 'check_pkt_len'; size: number; greater: Action[]; lessEqual: Action[] }
  /** `tunFlags` bit 0: put the label in front of the layer 3 header (1) or of the whole packet (0). */
  | ({ type: 'add_mpls'; ethType: number; tunFlags: number } & MplsEntry)
  /** Runs `actions` for packets whose TTL would become 0. */
  | { type: 'dec_ttl'; actions: Action[] }
  /** `reason` is an xlate error of Open vSwitch; 0 for an ordinary drop. */
  | { type: 'drop'; reason: number }
  | { type: 'psample'; group: number; cookie?: string }
  /** `tunnelType` is an OVS_VPORT_TYPE_*; `header` all the bytes to put in front of the packet. */
  | { type: 'tnl_push'; tunnelPort: number; outPort: number; tunnelType: number; header: string }
  | { type: 'tnl_pop'; port: number }
  | { type: 'lb_output'; bond: number }
  /**
   * An attribute that no other form says exactly: unknown, of a wrong length, nested too deeply. `attr` is the whole type
   * field, the two flag bits on top included.
   */
  | { type: 'raw'; attr: number; data: string };

export type ActionType = Action['type'];
export type ActionOf<T extends ActionType> = Extract<Action, { type: T }>;
