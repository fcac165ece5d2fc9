#!/bin/sh
# The bench's hook for waxseal: ./bench.py run --peer cmd:./waxseal.sh ...; reads the BENCH_* variables of README.md.
# BENCH_OPT_BINARY: another binary than build/waxseal.  Every other --set NAME=VALUE becomes a setting
# (`_` for `-`), for instance --set hop_connections=50.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
binary=${BENCH_OPT_BINARY:-$here/../../build/waxseal}
conf=$BENCH_SCRATCH/waxseal.conf
mkdir -p "$BENCH_SCRATCH/run"
chmod 755 "$BENCH_SCRATCH"
install -m 600 "$BENCH_KEY" "$BENCH_SCRATCH/waxseal.key"
chown -R nobody "$BENCH_SPOOL" "$BENCH_SCRATCH/run"
{
    cat <<CONF
hostname = "relay.bench.test";
listeners = ( { address = "$BENCH_LISTEN"; relay-from = [ "127.0.0.0/8" ];
                tls-certificate = "$BENCH_CERT"; tls-key = "$BENCH_SCRATCH/waxseal.key"; } );
state-dir = "$BENCH_SPOOL";
run-dir = "$BENCH_SCRATCH/run";
user = "nobody";
queue-size-max = "32G";
max-message-size = "100M";
mx-allow = [ "127.0.0.0/8" ];
CONF
    if [ -n "$BENCH_NEXTHOP" ]; then
        echo "relayhost = \"[${BENCH_NEXTHOP%:*}]:${BENCH_NEXTHOP##*:}\";"
        echo "tls-level = \"$BENCH_TLS\";"
    fi
    [ "$BENCH_HOLD" = 0 ] || echo 'delivery = "hold";'
    env | sed -n 's/^BENCH_OPT_\([A-Z_]*\)=\(.*\)$/\1 \2/p' | while read -r name value; do
        [ "$name" = BINARY ] && continue
        name=$(echo "$name" | tr 'A-Z_' 'a-z-')
        case $value in
            *[!0-9]*) echo "$name = \"$value\";" ;;
            *) echo "$name = $value;" ;;
        esac
    done
} > "$conf"
exec "$binary" run --config "$conf"
