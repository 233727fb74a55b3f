/** `npm run build`: brings the checkout up to date. */

import { bootstrap, runMain } from './lib/bootstrap.mjs';

await runMain(bootstrap);
