#!/bin/sh
# tests/fault/enter.sh COMMAND...: runs a command in a network, mount and process namespace of its own,
# with loopback up: ports 25 and 2525 are free there and every process ends with the command.
set -eu
if [ "${1:-}" = --inside ]; then
    shift
    ip link set lo up
    exec "$@"
fi
user=
[ "$(id -u)" -eq 0 ] || user="--user --map-root-user"
exec unshare $user --net --mount --pid --fork --kill-child --mount-proc "$0" --inside "$@"
