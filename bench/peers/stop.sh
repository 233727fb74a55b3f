#!/bin/sh
# Ends what a start.sh started in DIR: the processes whose ids are in its *.pid, those that began last first.
#
#   stop.sh DIR
set -u
ls -t "$1"/*.pid 2>/dev/null | while IFS= read -r file; do
  [ -s "$file" ] || continue
  pid=$(cat "$file")
  # A measurement may have left it stopped.
  kill -CONT "$pid" 2>/dev/null
  kill "$pid" 2>/dev/null || continue
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.3
  done
  kill -KILL "$pid" 2>/dev/null
done
exit 0
