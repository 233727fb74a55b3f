#!/bin/sh
# Starts Open vSwitch with DPDK on one poll-mode core, without a kernel device: port p1, p2... replay a capture each from
# memory without end, port out is a null device. Flows come from the caller. Everything lives in DIR.
#
#   start.sh DIR CORE SMC CAPTURE...        SMC: 1 turns the signature match cache on
#
# Prints the path of ovs-vswitchd's control socket. stop.sh DIR ends it, also after a failure here.
set -eu
dir=$1 core=$2 smc=$3
shift 3
export OVS_RUNDIR="$dir" OVS_LOGDIR="$dir" OVS_DBDIR="$dir" OVS_SYSCONFDIR="$dir"
vsctl() { ovs-vsctl --db="unix:$dir/db.sock" --timeout=30 "$@"; }

# 262,144 packet buffers for each port that replays, 1 KiB larger from port to port (see below); in huge pages where there
# may be enough, else in ordinary memory.
megabytes=$((128 * $# * ($# + 3) + 150 * $# + 512))
memory="--no-huge -m $megabytes"
pages=/sys/kernel/mm/hugepages/hugepages-2048kB
if [ -w $pages/nr_hugepages ]; then
  cat $pages/nr_hugepages >"$dir/pages"
  short=$((megabytes / 2 - $(cat $pages/free_hugepages)))
  [ $short -le 0 ] || echo $(($(cat $pages/nr_hugepages) + short)) >$pages/nr_hugepages || true
  mkdir "$dir/huge"
  if [ "$(cat $pages/free_hugepages)" -ge $((megabytes / 2)) ] && mount -t hugetlbfs none "$dir/huge"; then
    memory="-m $megabytes --huge-dir $dir/huge"
  fi
fi

ovsdb-tool create "$dir/conf.db" /usr/share/openvswitch/vswitch.ovsschema
# Detached, with no descriptor of ours: a daemon that held a lock or a pipe of the caller would keep it for ever.
ovsdb-server "$dir/conf.db" --remote="punix:$dir/db.sock" --pidfile="$dir/ovsdb.pid" --detach \
  --log-file="$dir/ovsdb.log" -vconsole:off >/dev/null 2>&1 </dev/null
vsctl --no-wait init
vsctl --no-wait set Open_vSwitch . other_config:dpdk-init=true \
  "other_config:dpdk-extra=$memory --no-pci --file-prefix=etherloom-bench-$$" \
  "other_config:pmd-cpu-mask=$(printf '0x%x' $((1 << core)))" other_config:dpdk-lcore-mask=0x1 \
  other_config:smc-enable="$([ "$smc" = 1 ] && echo true || echo false)" \
  other_config:flow-limit=3000000 other_config:max-idle=3600000 other_config:max-revalidator=3600000
# In a network namespace of its own: its devices have names that another one may have too.
unshare --net /usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk "unix:$dir/db.sock" --pidfile="$dir/vswitchd.pid" --detach \
  --log-file="$dir/vswitchd.log" -vconsole:off --unixctl="$dir/vswitchd.ctl" >/dev/null 2>&1 </dev/null
vsctl add-br br0 -- set bridge br0 datapath_type=netdev fail_mode=secure
vsctl add-port br0 out -- set interface out type=dpdk "options:dpdk-devargs=net_null0,no-rx=1"
port=0
for capture in "$@"; do
  port=$((port + 1))
  # Ports with different MTUs have packet buffers of their own: each holds one capture.
  vsctl add-port br0 "p$port" -- set interface "p$port" type=dpdk \
    "options:dpdk-devargs=net_pcap$port,rx_pcap=$capture,infinite_rx=1" "mtu_request=$((500 + 1024 * port))"
done
echo "$dir/vswitchd.ctl"
