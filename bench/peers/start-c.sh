#!/bin/sh
# Compiles the forwarder in FOLDER beside this file and starts it on CORE, in the caller's network namespace. stop.sh DIR
# ends it.
#
#   start-c.sh DIR CORE FOLDER A B
set -eu
dir=$1 core=$2 folder=$3
shift 3
cc -std=gnu11 -O2 -Wall -Wextra -Werror -o "$dir/forward" "$(dirname "$0")/$folder/forward.c"
taskset -c "$core" "$dir/forward" "$@" >"$dir/forward.log" 2>&1 </dev/null &
echo $! >"$dir/forward.pid"
for _ in 1 2 3 4 5 6 7 8 9 10; do
  grep -q ready "$dir/forward.log" && exit 0
  sleep 0.1
done
cat "$dir/forward.log" >&2
exit 1
