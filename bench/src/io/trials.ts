/** What is measured between two hosts with a switch between them. */

import type { Contestant } from './contestant.js';
import { type Lane, SINK_ADDRESS } from './lane.js';
import { type Programs, received } from './programs.js';

export interface Metric {
  readonly metric: string;
  readonly unit: string;
  readonly lowerIsBetter?: boolean;
}

export interface Trial {
  readonly name: string;
  readonly metrics: readonly Metric[];
  suits(contestant: Contestant): boolean;
  /** Takes some `ms` milliseconds; a figure for each metric. */
  measure(lane: Lane, programs: Programs, ms: number): Promise<number[]>;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const anybody = (): boolean => true;

/** Milliseconds from the generator's first frame to the beginning of the measurement. */
const LEAD = 200;
/** Some 100 us each, at worst. */
const ECHOES_PER_MS = 10;
/** Ports that requests go to: more connections may be in TIME_WAIT than one has room for. */
const SERVER_PORTS = 16;

/**
 * Frames of 64 bytes as fast as the generator sends them, which is faster than anybody forwards. The sink is a tcx
 * program that drops, and the kernel runs it on the processor of the switch.
 */
export function frames(flows: number): Trial {
  return {
    name: `64 B, ${flows === 1 ? 'one five-tuple' : `${flows} five-tuples`}`,
    metrics: [
      { metric: 'frames forwarded', unit: 'kpps' },
      // With all that its system calls do. Tells more than the rate on a machine that has other things to do.
      { metric: 'processor time of the switch per frame', unit: 'ns', lowerIsBetter: true },
    ],
    suits: ({ takesFrames, tcpOnly }) => takesFrames && tcpOnly !== true,
    async measure(lane, programs, ms) {
      const sink = await programs.sink(lane.sink, lane.sinkDevice);
      try {
        const generator = await programs.generate(lane.source, lane.sourceDevice, ms + 5 * LEAD, flows);
        try {
          await pause(LEAD);
          const before = received(sink.pid, lane.sinkDevice);
          const used = lane.processes.time();
          const began = performance.now();
          await pause(ms);
          const packets = received(sink.pid, lane.sinkDevice) - before;
          return [packets / (performance.now() - began), (lane.processes.time() - used) / packets];
        } finally {
          await generator.stop();
        }
      } finally {
        await sink.stop();
      }
    },
  };
}

export const stream: Trial = {
  name: 'TCP stream',
  metrics: [{ metric: 'throughput', unit: 'Gbit/s' }],
  suits: anybody,
  async measure(lane, programs, ms) {
    const server = await programs.serve(lane.sink, 1);
    try {
      return [(await programs.stream(lane.source, SINK_ADDRESS, ms)) / 1e9];
    } finally {
      await server.stop();
    }
  },
};

export const requests: Trial = {
  name: 'TCP connect, request, close',
  metrics: [{ metric: 'transactions', unit: '/s' }],
  suits: anybody,
  async measure(lane, programs, ms) {
    const server = await programs.serve(lane.sink, SERVER_PORTS);
    try {
      return [await programs.requests(lane.source, SINK_ADDRESS, SERVER_PORTS, ms)];
    } finally {
      await server.stop();
    }
  },
};

/** Each echo request as soon as the one before is answered. */
export const ping: Trial = {
  name: 'ping flood',
  metrics: [
    { metric: 'round trip p50', unit: 'us', lowerIsBetter: true },
    { metric: 'round trip p99', unit: 'us', lowerIsBetter: true },
  ],
  suits: ({ tcpOnly }) => tcpOnly !== true,
  async measure(lane, programs, ms) {
    const { p50Us, p99Us } = await programs.ping(lane.source, SINK_ADDRESS, ECHOES_PER_MS * ms);
    return [p50Us, p99Us];
  },
};
