/**
 * `npm start`: a self-contained demonstration. Two hosts on TAP ports, switchd between them; they ping and run TCP through
 * it; ports, learned MACs, flows and figures are printed; everything is removed. Exit 0 only if nothing was lost.
 *
 *   npm start -- --driver afxdp    on veth pairs instead: afxdp, afpacket, or system
 *   npm start -- --keep            leaves it running
 *   npm start -- --stop            takes a kept one down
 */

import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { bootstrap, root, runMain, UserError } from './lib/bootstrap.mjs';
import { missingForLab } from './lib/preflight.mjs';

const TCP_PORT = 5001;
const TCP_BYTES = 100_000_000;
const CONNECTIONS = 50;
const PINGS = 50;
const PING_INTERVAL_US = 20_000;
/** Unicast and broadcast, each way: what two hosts need however many connections they open. */
const MAX_FLOWS = 4;
const kept = join(root, '.bootstrap/lab.json');

const title = (text) => console.log(`\n== ${text}`);

function report(what, ok, detail) {
  console.log(`${ok ? 'ok  ' : 'FAIL'}  ${what}: ${detail}`);
  return ok;
}

/** Runs the traffic and prints the figures; resolves to whether all was right. */
async function exercise(lab) {
  const [h1, h2] = lab.hosts;
  const results = [];
  title('ping');
  for (const [from, to] of [
    [h1, h2],
    [h2, h1],
  ]) {
    const ping = await lab.ping(from, to, PINGS, PING_INTERVAL_US);
    const loss = (100 * (ping.sent - ping.received)) / ping.sent;
    const detail = `${loss.toFixed(0)} % loss of ${ping.sent}, round trip p50 ${ping.p50Us} us, p99 ${ping.p99Us} us, max ${ping.maxUs} us`;
    results.push(report(`${from.port} -> ${to.port}`, loss === 0, detail));
  }
  title(`TCP, ${TCP_BYTES / 1e6} MB each way, then ${CONNECTIONS} short connections`);
  await lab.sink(h1, TCP_PORT);
  await lab.sink(h2, TCP_PORT);
  for (const [from, to] of [
    [h1, h2],
    [h2, h1],
  ]) {
    const tcp = await lab.transfer(from, to, TCP_PORT, TCP_BYTES);
    const intact = tcp.sent === tcp.received && tcp.receivedBytes === TCP_BYTES;
    const rate = ((tcp.bytes * 8) / tcp.seconds / 1e9).toFixed(2);
    const sums = intact
      ? `SHA-256 equal at both ends (${tcp.sent.slice(0, 12)}...)`
      : `sent ${tcp.sent}, received ${tcp.received}`;
    results.push(
      report(`${from.port} -> ${to.port}`, intact, `${rate} Gbit/s in ${tcp.seconds.toFixed(2)} s, ${sums}`),
    );
  }
  await lab.connects(h1, h2, TCP_PORT, CONNECTIONS);
  title('ports');
  console.log(lab.cli('show').trimEnd());
  title('learned MACs');
  console.log(lab.cli('fdb').trimEnd());
  title('flow table');
  console.log(lab.cli('dump-flows').trimEnd());
  // The switch's own host (port 0) talks too, when its kernel has IPv6: those flows are not between the two.
  const flows = lab.cliJson('dump-flows').flows.filter(({ match }) => !match.includes('in_port(0)')).length;
  results.push(
    report(
      'megaflows',
      flows > 0 && flows <= MAX_FLOWS,
      `${flows} for ${CONNECTIONS + 2} connections and ${2 * PINGS} pings`,
    ),
  );
  return results.every(Boolean);
}

function keep(lab) {
  // The programs of the exercise share our standard error: left running, they would keep whoever reads it waiting.
  for (const host of lab.hosts) host.stop();
  writeFileSync(kept, JSON.stringify(lab.handle()));
  const [h1, h2] = lab.hosts;
  const cli = `npm run -s etherloom -- --run-dir ${lab.runDir}`;
  console.log(`
The lab keeps running (switchd is process ${lab.pid}). Talk to it:

  ip netns exec ${h1.netns} bash              a shell on host ${h1.port} (${h1.address}); ${h2.netns} is ${h2.port} (${h2.address})
  ${cli} show
  ${cli} dump-flows
  npm start -- --stop                       takes it down`);
}

async function stop() {
  if (!existsSync(kept)) throw new UserError('No lab is kept: start one with npm start -- --keep.');
  const { teardown } = await import('./lab/lab.mjs');
  const left = await teardown(JSON.parse(readFileSync(kept, 'utf8')));
  rmSync(kept);
  if (left.length > 0) throw new UserError(`could not remove ${left.join(', ')}.`);
  console.log('The lab is down.');
}

function readArguments() {
  try {
    const { values } = parseArgs({
      options: {
        driver: { type: 'string', default: 'tap' },
        keep: { type: 'boolean', default: false },
        stop: { type: 'boolean', default: false },
      },
    });
    return values;
  } catch (error) {
    throw new UserError(`${error.message.split('. ')[0]}; there are --driver NAME, --keep and --stop.`);
  }
}

await runMain(async () => {
  const { keep: keeps, stop: stops, driver } = readArguments();
  if (stops) return stop();
  const missing = missingForLab();
  if (missing !== undefined) throw new UserError(missing);
  if (existsSync(kept))
    throw new UserError('A lab is kept running already: take it down with npm start -- --stop.');
  console.log('Etherloom');
  bootstrap();
  const { DRIVERS, Lab } = await import('./lab/lab.mjs');
  if (!DRIVERS.includes(driver))
    throw new UserError(`there is no driver "${driver}"; there are ${DRIVERS.join(', ')}.`);
  const lab = new Lab(driver);
  let stopping = false;
  const interrupted = (signal) => {
    if (stopping) return;
    stopping = true;
    lab.teardown().then((left) => {
      console.error(
        `\netherloom: interrupted; ${left.length === 0 ? 'everything was removed' : `left behind: ${left.join(', ')}`}.`,
      );
      process.exit(signal === 'SIGINT' ? 130 : 143);
    });
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, interrupted);
  let done = false;
  try {
    await lab.build({ detached: keeps });
    const ok = await exercise(lab);
    if (!ok) throw new UserError('the lab found a fault, see FAIL above.');
    done = true;
  } catch (error) {
    // While an interrupt takes the lab down, programs in it fail: that is not news.
    if (stopping) await new Promise(() => undefined);
    throw error;
  } finally {
    if (!stopping) {
      if (done && keeps) keep(lab);
      else {
        const left = await lab.teardown();
        if (left.length > 0) {
          console.error(`etherloom: could not remove ${left.join(', ')}.`);
          process.exitCode = 1;
        } else if (done) console.log('\nEverything was removed. Run npm start -- --keep to look around.');
      }
    }
  }
  if (done && keeps) process.exit(0);
});
