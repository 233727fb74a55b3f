/** Ports come, change and go on a datapath of their own: on that of a bridge, Open vSwitch takes out ports that it does not know. */

import fc from 'fast-check';

/** Stands for letters that no other session has: Open vSwitch 3.1 sometimes keeps a device whose datapath is gone. */
export const OWN = '@OWN@';

const DP = `dummy@d1${OWN}`;
const name = fc.constantFrom('a1', 'b', 'p7', 'vif1.0', 'd1', 'br5').map((plain) => plain + OWN);
const nameless = fc.constantFrom('', ',');
const portNo = fc.constantFrom(
  '',
  '',
  ',port_no=5',
  ',port_no=6',
  ',port_no=0',
  ',port_no=65535',
  ',port_no=x',
  ',port_no=1',
  ',port_no=',
  ',port_no=7x',
  ',port_no=-1',
);
const type = fc.constantFrom(
  ',type=dummy',
  ',type=dummy',
  ',type=dummy',
  ',type=dummy-internal',
  ',type=internal',
  '',
  ',type=nosuch',
  ',type=system',
  ',type=',
  ',type',
);
const option = fc.constantFrom(
  '',
  '',
  '',
  '',
  ',ifindex=5',
  ',ifindex=7',
  ',n_rxq=2',
  ',foo=1',
  ',type=dummy',
  ',pcap=@RT@/d1.pcap',
  ',',
  ',=5',
);

/** Ports to delete besides those by name. */
const DELETED = ['1', '5', '0', '99', 'nosuch', '65535', '70000', '', '-1', '0x1', '01', ' 1', '4294967296'];

const spec = fc.tuple(name, type, portNo, option).map((parts) => parts.join(''));
const change = fc
  .tuple(name, fc.constantFrom('', ',type=dummy', ',type=internal', ',type=dummy-internal'), portNo, option)
  .map((parts) => parts.join(''));
const specs = (one: fc.Arbitrary<string>) => fc.array(one, { minLength: 1, maxLength: 3 });

export const portCommandArbitrary: fc.Arbitrary<readonly string[]> = fc.oneof(
  { weight: 3, arbitrary: fc.constant(['dpctl/add-dp', DP]) },
  { weight: 1, arbitrary: specs(spec).map((list) => ['dpctl/add-dp', DP, ...list]) },
  { weight: 6, arbitrary: specs(spec).map((list) => ['dpctl/add-if', DP, ...list]) },
  { weight: 3, arbitrary: specs(change).map((list) => ['dpctl/set-if', DP, ...list]) },
  { weight: 1, arbitrary: nameless.map((text) => ['dpctl/add-if', DP, text]) },
  { weight: 1, arbitrary: nameless.map((text) => ['dpctl/set-if', DP, text]) },
  {
    weight: 4,
    arbitrary: specs(fc.oneof(name, fc.constantFrom(...DELETED))).map((list) => [
      'dpctl/del-if',
      DP,
      ...list,
    ]),
  },
  { weight: 4, arbitrary: fc.constantFrom(['dpctl/show', DP], ['dpctl/show', '-s', DP], ['dpctl/dump-dps']) },
  { weight: 1, arbitrary: fc.constant(['dpctl/del-dp', DP]) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(name, fc.constantFrom('9', '5', '0', '1'))
      .map(([port, number]) => ['dpif-dummy/change-port-number', `d1${OWN}`, port, number]),
  },
);
