#!/bin/sh
# Ends what start.sh started in DIR, by process id, and removes DIR.
#
#   stop.sh DIR
set -u
dir=$1
for name in vswitchd ovsdb; do
  [ -s "$dir/$name.pid" ] || continue
  pid=$(cat "$dir/$name.pid")
  # A measurement may have left it stopped.
  kill -CONT "$pid" 2>/dev/null
  kill "$pid" 2>/dev/null || continue
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.3
  done
  kill -KILL "$pid" 2>/dev/null
done
umount "$dir/huge" 2>/dev/null
[ -s "$dir/pages" ] && cat "$dir/pages" >/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
rm -rf "$dir"
exit 0
