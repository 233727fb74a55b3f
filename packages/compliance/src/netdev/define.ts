/** How cases are written down inside the netdev suite: without setup and teardown, which every case gets. */

import type { NetdevFeature, NetdevFixture } from './fixture.js';

export interface CaseDefinition {
  readonly name: string;
  readonly cites: string;
  /** A feature without which the case makes no sense. */
  readonly needs?: NetdevFeature;
  run(fixture: NetdevFixture): Promise<void>;
}
