#!/bin/sh
# Makes a bridge of the kernel in the caller's network namespace, with all PORTs. It goes away with the namespace, and
# forwards on whatever processor a packet comes in.
#
#   start.sh DIR CORE PORT...
set -eu
shift 2
ip link add br0 type bridge mcast_snooping 0
ip link set br0 up
for port in "$@"; do ip link set "$port" master br0; done
