#!/bin/sh
# Ends what start.sh started in DIR, by process id, and removes DIR.
#
#   stop.sh DIR
set -u
dir=$1
"$(dirname "$0")/../stop.sh" "$dir"
umount "$dir/huge" 2>/dev/null
[ -s "$dir/pages" ] && cat "$dir/pages" >/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
rm -rf "$dir"
exit 0
