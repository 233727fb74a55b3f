/** Cases for calls that overlap, on one handle and on several (dpif.h "Thread-safety"). */

import assert from 'node:assert/strict';
import { type Dpif, type DpifOp, type Flow, FP_CREATE, isDpifError } from '@etherloom/core';
import { eventually, rejects } from '../netdev/tools.js';
import type { DpifCase, DpifFixture } from './fixture.js';
import { actions, flow, keyText, raw, rawFlow, samePackets, udpFrom } from './packets.js';
import { Rig } from './rig.js';

/** Two more handles on the rig's datapath, closed afterwards. */
async function withHandles(
  fixture: DpifFixture,
  rig: Rig,
  body: (handles: readonly [Dpif, Dpif, Dpif]) => Promise<void>,
): Promise<void> {
  const { baseName } = rig.dpif;
  const second = await fixture.dpifs.open(baseName, fixture.type);
  const third = await fixture.dpifs.open(baseName, fixture.type);
  try {
    await body([rig.dpif, second, third]);
  } finally {
    await second.close();
    await third.close();
  }
}

const put = (key: string): DpifOp => ({
  type: 'flowPut',
  flags: FP_CREATE,
  ...flow(key),
  actions: actions('3'),
});
/** How often each outcome came. */
function count(outcomes: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const outcome of outcomes) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
}
const codeOf = (error: unknown): string => (isDpifError(error) ? error.code : String(error));
const settle = async (calls: readonly Promise<unknown>[]): Promise<Record<string, number>> =>
  count(
    (await Promise.allSettled(calls)).map((call) =>
      call.status === 'fulfilled' ? 'ok' : codeOf(call.reason),
    ),
  );

const CITES = 'dpif.h "Thread-safety": any number of threads on the same or different dpif objects';

export const concurrencyCases: readonly DpifCase[] = [
  {
    name: 'of many puts of one flow at once, through several handles, one succeeds',
    cites: CITES,
    run: (fixture) =>
      Rig.with(fixture, 0, (rig) =>
        withHandles(fixture, rig, async (handles) => {
          const calls = Array.from({ length: 30 }, (_, i) => handles[i % 3]!.operate([put(udpFrom(5, 1))]));
          const outcomes = (await Promise.all(calls)).flat().map(({ error }) => error?.code ?? 'ok');
          assert.deepEqual(count(outcomes), { ok: 1, EEXIST: 29 });
        }),
      ),
  },
  {
    name: 'of many deletions of one flow at once one succeeds',
    cites: CITES,
    run: (fixture) =>
      Rig.with(fixture, 0, (rig) =>
        withHandles(fixture, rig, async (handles) => {
          await rig.put(udpFrom(5, 1), '3');
          const { key } = flow(udpFrom(5, 1));
          const calls = Array.from({ length: 30 }, (_, i) => handles[i % 3]!.flowDel(key));
          assert.deepEqual(await settle(calls), { ok: 1, ENOENT: 29 });
        }),
      ),
  },
  {
    name: 'of many additions of one device at once one succeeds, and of one number too',
    cites: CITES,
    run: (fixture) =>
      Rig.with(fixture, 0, (rig) =>
        withHandles(fixture, rig, async (handles) => {
          const { portType: type, portConfig: config } = fixture;
          const name = fixture.name();
          const same = Array.from({ length: 6 }, (_, i) => handles[i % 3]!.portAdd({ name, type, config }));
          assert.deepEqual(await settle(same), { ok: 1, EEXIST: 5 });
          const names = Array.from({ length: 6 }, () => fixture.name());
          const calls = names.map((each, i) => handles[i % 3]!.portAdd({ name: each, type, config }, 50));
          assert.deepEqual(await settle(calls), { ok: 1, EBUSY: 5 });
        }),
      ),
  },
  {
    name: 'of many deletions of one port at once one succeeds',
    cites: CITES,
    run: (fixture) =>
      Rig.with(fixture, 1, (rig) =>
        withHandles(fixture, rig, async (handles) => {
          const { no } = rig.ports[0]!;
          const calls = Array.from({ length: 6 }, (_, i) => handles[i % 3]!.portDel(no));
          assert.deepEqual(await settle(calls), { ok: 1, ENODEV: 5 });
        }),
      ),
  },
  {
    name: 'puts, deletions and flushes that overlap leave what was put last, and counts that agree',
    cites: CITES,
    run: (fixture) =>
      Rig.with(fixture, 0, (rig) =>
        withHandles(fixture, rig, async (handles) => {
          const churn = async (handle: Dpif, first: number): Promise<void> => {
            for (let round = 0; round < 5; round++) {
              const texts = Array.from({ length: 100 }, (_, i) => udpFrom(5, first + i));
              await handle.operate(texts.map(put));
              await handle.operate(texts.map((text): DpifOp => ({ type: 'flowDel', key: flow(text).key })));
              await handle.operate(texts.slice(0, 50).map(put));
              if (round === 2) await handle.flowFlush();
              await handle.operate(texts.map((text): DpifOp => ({ type: 'flowDel', key: flow(text).key })));
            }
          };
          await Promise.all(handles.map((handle, i) => churn(handle, 1 + i * 1000)));
          assert.equal((await rig.dpif.getDpStats()).flows, 0);
          await rig.put(udpFrom(5, 1), '3');
          const flows: Flow[] = [];
          for await (const each of handles[1].flowDump()) flows.push(each);
          assert.equal(flows.length, 1);
        }),
      ),
  },
  {
    name: 'each handle dumps ports and flows for itself, all at once',
    cites: 'dpif.h "Thread-safety": each thread must use its own struct dpif_port_dump',
    run: (fixture) =>
      Rig.with(fixture, 3, (rig) =>
        withHandles(fixture, rig, async (handles) => {
          for (let from = 1; from <= 200; from++) await rig.put(udpFrom(5, from), 'drop');
          const dumps = handles
            .flatMap((handle) => [handle, handle])
            .map(async (handle) => {
              const ports: number[] = [];
              for await (const { portNo } of handle.portDump()) ports.push(portNo);
              const flows = new Set<string>();
              for await (const { key } of handle.flowDump()) flows.add(keyText(key));
              return [ports.length, new Set(ports).size, flows.size];
            });
          for (const sizes of await Promise.all(dumps)) assert.deepEqual(sizes, [4, 4, 200]);
        }),
      ),
  },
  {
    name: 'each handle polls port changes for itself',
    cites: 'dpif.h "Thread-safety": dpif_port_poll from different threads only on different dpif objects',
    run: (fixture) =>
      Rig.with(fixture, 0, (rig) =>
        withHandles(fixture, rig, async (handles) => {
          for (const handle of handles) while ((await handle.portPoll()) !== undefined);
          const waiting = Promise.all(handles.map((handle) => handle.portPollWait()));
          await rig.addPort();
          await waiting;
          for (const handle of handles) assert.notEqual(await handle.portPoll(), undefined);
        }),
      ),
  },
  {
    name: 'closing a handle ends what waits on it',
    cites: 'dpif.h, dpif_close; "Thread-safety"',
    run: (fixture) =>
      Rig.with(fixture, 1, async (rig) => {
        const other = await fixture.dpifs.open(rig.dpif.baseName, fixture.type);
        await other.recvSet(true);
        while ((await other.portPoll()) !== undefined);
        const upcalls = other.recvBatch(0, 10);
        const change = other.portPollWait();
        await other.close();
        assert.deepEqual(await upcalls, []);
        await change;
        await rejects('EBADF', other.recv(0));
        await rig.dpif.recvSet(true);
      }),
  },
  {
    name: 'operations that run when their handle closes end, well or with an error of their own',
    cites: 'dpif.h, dpif_close; "Thread-safety"',
    run: (fixture) =>
      Rig.with(fixture, 0, async (rig) => {
        const other = await fixture.dpifs.open(rig.dpif.baseName, fixture.type);
        const texts = Array.from({ length: 500 }, (_, i) => udpFrom(5, i + 1));
        const running = other.operate(texts.map(put));
        await other.close();
        const outcomes = (await running).map(({ error }) => error?.code ?? 'ok');
        const done = outcomes.filter((outcome) => outcome === 'ok').length;
        assert.equal((await rig.dpif.getDpStats()).flows, done);
      }),
  },
  {
    name: 'packets are forwarded while the flow table changes around them',
    cites: 'dpif.h "Overview"; "Thread-safety"',
    run: (fixture) =>
      Rig.with(fixture, 2, async (rig) => {
        const [a, b] = [rig.ports[0]!, rig.ports[1]!];
        await rig.put(rawFlow(a.no), `${b.no}`);
        const packets = Array.from({ length: 100 }, (_, i) => raw(60 + i, i));
        const churn = (async () => {
          for (let round = 0; round < 20; round++) {
            const texts = Array.from({ length: 50 }, (_, i) => udpFrom(a.no, i + 1));
            await rig.dpif.operate(texts.map(put));
            await rig.dpif.operate(texts.map((text): DpifOp => ({ type: 'flowDel', key: flow(text).key })));
          }
        })();
        for (let i = 0; i < packets.length; i += 10) {
          await a.far.send(packets.slice(i, i + 10));
          await rig.dpif.getDpStats();
        }
        samePackets(await rig.arrive(b, packets.length), packets);
        await churn;
        assert.equal((await rig.dpif.getDpStats()).flows, 1);
      }),
  },
  {
    name: 'handlers wait side by side, each for upcalls of its own',
    cites: 'dpif.h "Upcall Queuing": multiple threads may read upcalls simultaneously',
    needs: 'handlers',
    run: (fixture) =>
      Rig.with(fixture, 1, async (rig) => {
        await rig.dpif.recvSet(true);
        await rig.dpif.handlersSet(3);
        const port = rig.ports[0]!;
        const abort = new AbortController();
        const got: number[] = [0, 0, 0];
        const readers = got.map(async (_, handler) => {
          for (;;) {
            const batch = await rig.dpif.recvBatch(handler, 8, abort.signal);
            if (batch.length === 0) return;
            for (const { pid } of batch) {
              assert.equal(
                pid,
                await rig.dpif.portGetPid(port.no, handler),
                'a handler reads its own queues',
              );
              got[handler]!++;
            }
          }
        });
        await rig.process(
          port,
          Array.from({ length: 60 }, (_, i) => raw(60 + i, i)),
        );
        await rig.late(port);
        await eventually('the readers have all', () => got.reduce((sum, n) => sum + n, 0) >= 60);
        abort.abort();
        await Promise.all(readers);
        const left = await Promise.all([0, 1, 2].map((handler) => rig.dpif.recv(handler)));
        assert.deepEqual(left, [undefined, undefined, undefined]);
        assert.ok(got.reduce((sum, n) => sum + n, 0) >= 60);
      }),
  },
];
