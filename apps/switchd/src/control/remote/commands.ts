/** The server end of the remote methods (`dpif-remote/*`, `netdev-remote/*`): other processes use this one's datapaths and devices. */

import {
  type DpctlContext,
  JsonShapeError,
  type JsonValue,
  remoteMethods as methods,
  REMOTE_ERROR,
  type RemoteMethod,
} from '@etherloom/cli';
import { type Dpif, DpifError, type Netdev, type PacketCapture, toDpifError } from '@etherloom/core';
import { type Connection, type ControlCommand, ControlError } from '../command.js';
import { type Dump, endDump, Numbered, type OpenDatapath, Session } from './session.js';
import { nextFlows, nextPorts, nextUpcalls, perform } from './slices.js';

/** What the daemon does about datapaths that others make and delete. */
export interface DatapathKeeper {
  /** A datapath called `name` (`type@name`) is its maker's own from now on: no client is started on it. */
  hold(name: string): void;
  /** Its maker has closed it. */
  release(name: string): Promise<void>;
  /** Datapaths may have come or gone. */
  sync(): Promise<void>;
}

type Run<A, R> = (session: Session, args: A) => Promise<R>;

export function remoteCommands(context: DpctlContext, keeper: DatapathKeeper): ControlCommand[] {
  const { dpifs, netdevs } = context;
  const sessions = new WeakMap<Connection, Session>();
  const sessionOf = (connection: Connection): Session => {
    const session = sessions.get(connection) ?? new Session(connection);
    sessions.set(connection, session);
    return session;
  };

  const command = <A, R>(method: RemoteMethod<A, R>, run: Run<A, R>): ControlCommand => ({
    name: method.name,
    usage: 'json',
    minArgs: 1,
    maxArgs: 1,
    waits: method.waits === true,
    async run([text = ''], connection) {
      const json = await answer(method, text, (args) => run(sessionOf(connection), args));
      return connection.format === 'json' ? { text: '', json } : { text: JSON.stringify(json) };
    },
  });
  /** A method of an open datapath. */
  const ofDpif = <A, R>(
    method: RemoteMethod<readonly [number, A], R>,
    run: (dpif: Dpif, args: A, open: OpenDatapath, session: Session) => Promise<R>,
  ): ControlCommand =>
    command(method, (session, [handle, args]) => {
      const open = session.datapaths.get(handle);
      return run(open.dpif, args, open, session);
    });
  /** A method of an open device. */
  const ofDevice = <A, R>(
    method: RemoteMethod<readonly [number, A], R>,
    run: (netdev: Netdev, args: A) => Promise<R>,
  ): ControlCommand =>
    command(method, (session, [device, args]) => run(session.devices.get(device).netdev, args));

  async function open(session: Session, { type, name, create }: methods.OpenRequest): Promise<number> {
    session.datapaths.reserve();
    const full = `${type}@${name}`;
    if (create) keeper.hold(full);
    const closed = create ? () => keeper.release(full) : async (): Promise<void> => undefined;
    let dpif: Dpif;
    try {
      dpif = await (create ? dpifs.create(name, type) : dpifs.open(name, type));
    } catch (error) {
      await closed();
      throw error;
    }
    const opened = {
      dpif,
      dumps: new Numbered<Dump>('dump'),
      captures: new Numbered<PacketCapture>('capture'),
      closing: new AbortController(),
      closed,
    };
    // The connection ended meanwhile: nobody else would close it.
    if (session.over) {
      await session.closeDatapath(opened);
      throw new DpifError('ENOTCONN', 'the connection ended while the datapath was opened');
    }
    const handle = session.datapaths.add(opened);
    session.changed();
    return handle;
  }

  return [
    command(methods.describe, async () => {
      const devices = netdevs.types();
      const portTypes = ['internal', 'system', ...devices];
      const datapaths = dpifs.types().map((type) => {
        const named = portTypes.map((portType) => [portType, dpifs.portOpenType(type, portType)]);
        return [type, Object.fromEntries(named.filter(([from, to]) => from !== to))];
      });
      return { datapaths: Object.fromEntries(datapaths), devices };
    }),
    command(methods.cancel, async (session, wait) => session.cancel(wait)),
    command(methods.enumerate, (_session, type) => dpifs.names(type)),
    command(methods.open, open),
    command(methods.close, async (session, [handle]) => {
      const opened = session.datapaths.get(handle);
      session.datapaths.remove(handle);
      session.changed();
      await session.closeDatapath(opened);
    }),
    ofDpif(methods.destroy, async (dpif) => {
      await dpif.delete();
      await keeper.sync();
    }),
    ofDpif(methods.getDpStats, (dpif) => dpif.getDpStats()),
    ofDpif(methods.getNetflowIds, (dpif) => dpif.getNetflowIds()),
    ofDpif(methods.queueToPriority, (dpif, queue) => dpif.queueToPriority(queue)),
    ofDpif(methods.now, (dpif) => dpif.now()),

    ofDpif(methods.portAdd, (dpif, [port, portNo]) => dpif.portAdd(port, portNo)),
    ofDpif(methods.portDel, (dpif, portNo) => dpif.portDel(portNo)),
    ofDpif(methods.portQueryByNumber, (dpif, portNo) => dpif.portQueryByNumber(portNo)),
    ofDpif(methods.portQueryByName, (dpif, name) => dpif.portQueryByName(name)),
    ofDpif(methods.portGetPid, (dpif, [portNo, hash]) => dpif.portGetPid(portNo, hash)),
    ofDpif(methods.portGetDrops, (dpif, portNo) => dpif.portGetDrops(portNo)),
    ofDpif(methods.portPoll, (dpif) => dpif.portPoll()),
    command(methods.portPollWait, (session, [wait, handle]) => {
      const opened = session.datapaths.get(handle);
      return session.wait(wait, opened, (signal) => opened.dpif.portPollWait(signal));
    }),
    ofDpif(methods.portDump, async (dpif, _nothing, { dumps }) => {
      dumps.reserve();
      return dumps.add({ kind: 'ports', ports: dpif.portDump()[Symbol.asyncIterator]() });
    }),
    ofDpif(methods.portDumpNext, async (_dpif, dump, { dumps }) => {
      const found = dumps.find(dump);
      return found?.kind === 'ports' ? nextPorts(found.ports) : [];
    }),

    ofDpif(methods.flowFlush, (dpif) => dpif.flowFlush()),
    ofDpif(methods.flowDump, async (dpif, _nothing, { dumps }) => {
      dumps.reserve();
      return dumps.add({ kind: 'flows', flows: dpif.flowDump() });
    }),
    ofDpif(methods.flowDumpNext, async (_dpif, [dump, max], { dumps }) => {
      // One that another reader of it has ended gives no more.
      const found = dumps.find(dump);
      return found?.kind === 'flows' ? nextFlows(found.flows, max) : [];
    }),
    ofDpif(methods.dumpDone, async (_dpif, dump, { dumps }) => {
      const found = dumps.find(dump);
      dumps.remove(dump);
      if (found !== undefined) await endDump(found);
    }),
    ofDpif(methods.operate, (dpif, ops) => perform(dpif, ops)),
    ofDpif(methods.trace, (dpif, request) => dpif.trace(request)),

    ofDpif(methods.captureStart, async (dpif, options, { captures }) => {
      captures.reserve();
      return captures.add(await dpif.capture(options));
    }),
    command(methods.captureNext, (session, [wait, [handle, [capture, max]]]) => {
      const opened = session.datapaths.get(handle);
      const found = opened.captures.get(capture);
      return session.wait(wait, opened, (signal) => found.next(Math.min(max, methods.SLICE_ITEMS), signal));
    }),
    ofDpif(methods.captureStop, (_dpif, capture, { captures }) => captures.get(capture).stop()),
    ofDpif(methods.captureDone, async (_dpif, capture, { captures }) => {
      const found = captures.find(capture);
      captures.remove(capture);
      await found?.stop();
      // Read to its end, it gives its memory back.
      while (((await found?.next(methods.SLICE_ITEMS)) ?? []).length > 0);
    }),

    ofDpif(methods.recvSet, (dpif, enable) => dpif.recvSet(enable)),
    ofDpif(methods.handlersSet, (dpif, count) => dpif.handlersSet(count)),
    ofDpif(methods.recv, (dpif, handler) => dpif.recv(handler)),
    command(methods.recvBatch, (session, [wait, [handle, [handler, max]]]) => {
      const opened = session.datapaths.get(handle);
      return session.wait(wait, opened, (signal) => nextUpcalls(opened.dpif, handler, max, signal));
    }),
    ofDpif(methods.recvPurge, (dpif) => dpif.recvPurge()),

    command(methods.netdevOpen, async (session, { name, type, config }) => {
      session.devices.reserve();
      const ref = await netdevs.open(name, type, config);
      if (session.over) {
        await ref.release();
        throw new DpifError('ENOTCONN', 'the connection ended while the device was opened');
      }
      const device = session.devices.add(ref);
      session.changed();
      return { device, capabilities: ref.netdev.capabilities };
    }),
    command(methods.netdevClose, async (session, [device]) => {
      const ref = session.devices.get(device);
      session.devices.remove(device);
      session.changed();
      await ref.release();
    }),
    ofDevice(methods.netdevGetConfig, (netdev) => netdev.getConfig()),
    ofDevice(methods.netdevSetConfig, (netdev, config) => netdev.setConfig(config)),
    ofDevice(methods.netdevGetMtu, (netdev) => netdev.getMtu()),
    ofDevice(methods.netdevSetMtu, (netdev, mtu) => netdev.setMtu(mtu)),
    ofDevice(methods.netdevGetEtheraddr, (netdev) => netdev.getEtheraddr()),
    ofDevice(methods.netdevSetEtheraddr, (netdev, address) => netdev.setEtheraddr(address)),
    ofDevice(methods.netdevGetStats, (netdev) => netdev.getStats()),
    ofDevice(methods.netdevGetCarrier, (netdev) => netdev.getCarrier()),
    ofDevice(methods.netdevGetCarrierResets, (netdev) => netdev.getCarrierResets()),
    ofDevice(methods.netdevGetFeatures, (netdev) => netdev.getFeatures()),
    ofDevice(methods.netdevGetFlags, (netdev) => netdev.getFlags()),
    ofDevice(methods.netdevSetFlags, (netdev, flags) => netdev.setFlags(flags)),
    ofDevice(methods.netdevGetIfindex, (netdev) => netdev.getIfindex()),
    ofDevice(methods.netdevGetStatus, async (netdev) => ({ ...(await netdev.getStatus?.()) })),
  ];
}

/** Reads the arguments, runs, and writes the result; every failure becomes an error object. */
async function answer<A, R>(
  { name, args, result }: RemoteMethod<A, R>,
  text: string,
  run: (args: A) => Promise<R>,
): Promise<JsonValue> {
  try {
    return result.pack(await run(args.read(parse(text), 'arguments')));
  } catch (error) {
    const failure =
      error instanceof JsonShapeError
        ? new DpifError('EINVAL', `"${name}" was called with ${error.message}`)
        : toDpifError(error);
    throw new ControlError(failure.message, REMOTE_ERROR.pack(failure));
  }
}

function parse(text: string): JsonValue {
  try {
    const json: JsonValue = JSON.parse(text);
    return json;
  } catch (error) {
    throw new JsonShapeError(
      `arguments that are no JSON (${error instanceof Error ? error.message : error})`,
    );
  }
}
