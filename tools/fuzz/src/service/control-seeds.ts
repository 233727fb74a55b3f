/** What a well-behaved peer says: one connection each. No "exit", and no path that a mutation might turn into a harmful one. */

const request = (method: string, ...params: readonly string[]): string =>
  JSON.stringify({ id: 0, method, params });

const FLOW =
  'in_port(1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800),ipv4(proto=17,frag=no),udp(src=1)';
/** Keys and actions as Netlink attributes in base64: in_port(1),eth(),eth_type(0x88b5) and output to 2. */
const KEY = 'CAADAAEAAAAQAAQAAAAAAAAAAAAAAAAABgAGAIi1AAA=';
const ACTIONS = 'CAABAAIAAAA=';
const FRAME = Buffer.alloc(60, 2).toString('base64');

/** Remote calls on the handle that the first opens. */
const remote = (...calls: readonly (readonly [string, string])[]): string =>
  [
    request('set-options', '--format', 'json'),
    request('dpif-remote/open', '{"type":"dummy","name":"br0","create":false}'),
    ...calls.map(([method, json]) => request(method, json)),
  ].join('');

const PLAIN: readonly (readonly string[])[] = [
  ['list-commands'],
  ['version'],
  ['set-options', '--format', 'json', '--errors', 'sentence'],
  ['dpctl/list-commands'],
  ['dpctl/show', '-s'],
  ['dpctl/show', 'dummy@br0'],
  ['dpctl/dump-dps'],
  ['dpctl/add-dp', 'dummy@br1', 'p3,type=dummy,port_no=7'],
  ['dpctl/del-dp', 'dummy@br1'],
  ['dpctl/add-if', 'dummy@br0', 'p4,type=dummy,mtu=1400'],
  ['dpctl/set-if', 'dummy@br0', 'p1,mtu=1300'],
  ['dpctl/del-if', 'dummy@br0', 'p4'],
  ['dpctl/add-flow', 'dummy@br0', FLOW, '2,set(ipv4(ttl=3)),1'],
  ['dpctl/mod-flow', '--may-create', '--clear', '-s', 'dummy@br0', FLOW, 'push_vlan(vid=5,pcp=0),2'],
  ['dpctl/del-flow', 'dummy@br0', FLOW],
  ['dpctl/get-flow', 'dummy@br0', 'ufid:00000000-0000-0000-0000-000000000001'],
  ['dpctl/dump-flows', '-m', '--names', 'filter=udp,in_port=1', 'type=ovs', 'pmd=-1'],
  ['dpctl/parse-actions', 'sample(sample=50.0%,actions(1)),clone(2),userspace(pid=1)'],
  ['dpctl/normalize-actions', FLOW, '1,2'],
  ['dpctl/dump-conntrack'],
  ['dpif/show'],
  ['dpif/show-dp-features', 'br0'],
  ['fdb/show', 'br0'],
  ['fdb/add', 'br0', 'p1', '0', '02:00:00:00:00:0a'],
  ['fdb/stats-show'],
  ['upcall/show'],
  ['memory/show'],
  ['coverage/show'],
  ['coverage/read-counter', 'datapath_hit'],
  ['dpif-netdev/pmd-stats-show', '-pmd', '0', 'br0'],
  ['dpif-netdev/pmd-stats-clear'],
  ['dpif-netdev/pmd-perf-show', '-nh', '-it', '1'],
  ['vlog/set', 'switchd:file:info'],
  ['dpctl/trace', 'dummy@br0', FLOW, '1'],
  ['dpctl/trace', '0200000000020200000000018888', 'p1'],
  ['vlog/list'],
  ['vlog/reopen'],
  ['time/warp', '100', '10'],
  ['netdev-dummy/receive', 'p1', '--qid', '0', FLOW, '--len', '100', '0200000000020200000000018888'],
  ['netdev-dummy/set-admin-state', 'p1', 'up'],
  ['netdev-dummy/transmitted', 'p2'],
];

export const REQUESTS: readonly string[] = [
  ...PLAIN.map(([method = '', ...params]) => request(method, ...params)),
  request('version') + request('dpctl/show') + request('nosuch'),
  remote(
    ['dpif-remote/get-dp-stats', '[1,null]'],
    ['dpif-remote/now', '[1,null]'],
    ['dpif-remote/get-netflow-ids', '[1,null]'],
    ['dpif-remote/queue-to-priority', '[1,3]'],
  ),
  remote(
    ['dpif-remote/port-add', '[1,[{"name":"p5","type":"dummy","config":{"mtu":"1400"}},null]]'],
    ['dpif-remote/port-query-by-name', '[1,"p5"]'],
    ['dpif-remote/port-query-by-number', '[1,1]'],
    ['dpif-remote/port-get-pid', '[1,[1,7]]'],
    ['dpif-remote/port-get-drops', '[1,1]'],
    ['dpif-remote/port-poll', '[1,null]'],
    ['dpif-remote/port-del', '[1,3]'],
  ),
  remote(
    ['dpif-remote/port-dump', '[1,null]'],
    ['dpif-remote/port-dump-next', '[1,1]'],
    ['dpif-remote/dump-done', '[1,1]'],
  ),
  remote(
    [
      'dpif-remote/operate',
      `[1,[{"type":"flowPut","flags":1,"key":"${KEY}","actions":"${ACTIONS}"},{"type":"flowGet","key":"${KEY}"},{"type":"execute","packet":"${FRAME}","actions":"${ACTIONS}","metadata":"${KEY}"},{"type":"flowDel","key":"${KEY}"}]]`,
    ],
    ['dpif-remote/flow-dump', '[1,null]'],
    ['dpif-remote/flow-dump-next', '[1,[1,10]]'],
    ['dpif-remote/flow-flush', '[1,null]'],
  ),
  remote(
    ['dpif-remote/trace', `[1,{"packet":"${FRAME}","metadata":"${KEY}"}]`],
    [
      'dpif-remote/capture-start',
      `[1,{"port":1,"direction":"in","snaplen":40,"filter":{"key":"${KEY}","mask":"${KEY}"}}]`,
    ],
    ['dpif-remote/capture-next', '[7,[1,[1,10]]]'],
    ['dpif-remote/capture-stop', '[1,1]'],
    ['dpif-remote/capture-done', '[1,1]'],
  ),
  remote(
    ['dpif-remote/handlers-set', '[1,2]'],
    ['dpif-remote/recv-set', '[1,true]'],
    ['dpif-remote/recv-batch', '[5,[1,[0,10]]]'],
    ['dpif-remote/port-poll-wait', '[6,1]'],
    ['dpif-remote/recv', '[1,0]'],
    ['dpif-remote/cancel', '5'],
    ['dpif-remote/recv-purge', '[1,null]'],
    ['dpif-remote/close', '[1,null]'],
  ),
  remote(
    ['dpif-remote/describe', 'null'],
    ['dpif-remote/enumerate', '"dummy"'],
    ['dpif-remote/destroy', '[1,null]'],
  ),
  remote(
    ['dpif-remote/open', '{"type":"dummy","name":"br7","create":true}'],
    ['dpif-remote/destroy', '[2,null]'],
    ['dpif-remote/close', '[2,null]'],
  ),
  remote(
    ['netdev-remote/open', '{"name":"p1","type":"dummy","config":{}}'],
    ['netdev-remote/get-config', '[1,null]'],
    ['netdev-remote/set-config', '[1,{"mtu":"1300"}]'],
    ['netdev-remote/set-mtu', '[1,1400]'],
    ['netdev-remote/set-etheraddr', '[1,"02:00:00:00:00:55"]'],
    ['netdev-remote/set-flags', '[1,{"up":true}]'],
    ['netdev-remote/get-stats', '[1,null]'],
    ['netdev-remote/get-features', '[1,null]'],
    ['netdev-remote/close', '[1,null]'],
  ),
];
