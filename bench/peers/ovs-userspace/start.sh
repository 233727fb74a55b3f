#!/bin/sh
# Starts Open vSwitch with its userspace datapath in the caller's network namespace: a learning bridge with PORTs of one type,
# a poll-mode thread on CORE, and the signature match cache. Everything lives in DIR; ../stop.sh DIR ends it.
#
#   start.sh DIR CORE afxdp|tap PORT...
set -eu
dir=$1 core=$2 type=$3
shift 3
export OVS_RUNDIR="$dir" OVS_LOGDIR="$dir" OVS_DBDIR="$dir" OVS_SYSCONFDIR="$dir"
vsctl() { ovs-vsctl --db="unix:$dir/db.sock" --timeout=30 "$@"; }

ovsdb-tool create "$dir/conf.db" /usr/share/openvswitch/vswitch.ovsschema
# Detached, with no descriptor of ours: a daemon that held a lock or a pipe of the caller would keep it for ever.
ovsdb-server "$dir/conf.db" --remote="punix:$dir/db.sock" --pidfile="$dir/ovsdb.pid" --detach \
  --log-file="$dir/ovsdb.log" -vconsole:off >/dev/null 2>&1 </dev/null
vsctl --no-wait init
vsctl --no-wait set Open_vSwitch . "other_config:pmd-cpu-mask=$(printf '0x%x' $((1 << core)))" \
  other_config:smc-enable=true
ovs-vswitchd "unix:$dir/db.sock" --pidfile="$dir/vswitchd.pid" --detach --log-file="$dir/vswitchd.log" -vconsole:off \
  --unixctl="$dir/vswitchd.ctl" >/dev/null 2>&1 </dev/null
vsctl add-br br0 -- set bridge br0 datapath_type=netdev
for port in "$@"; do
  vsctl add-port br0 "$port" -- set interface "$port" "type=$type"
  error=$(vsctl get interface "$port" error)
  [ "$error" = '[]' ] || { echo "port $port: $error" >&2; exit 1; }
done
