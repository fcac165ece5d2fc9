#!/bin/sh
# The bench's hook for waxseal: ./bench.py run --peer cmd:./waxseal.sh ...; reads the BENCH_* variables of README.md.
# BENCH_OPT_BINARY: another binary than build/waxseal.  BENCH_OPT_DKIM (ed25519, rsa, or both with a comma between):
# all mail is signed with a new key of each kind.  Every other --set NAME=VALUE becomes a setting
# (`_` for `-`), for instance --set hop_connections=50.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
binary=${BENCH_OPT_BINARY:-$here/../../build/waxseal}
conf=$BENCH_SCRATCH/waxseal.conf
mkdir -p "$BENCH_SCRATCH/run"
chmod 755 "$BENCH_SCRATCH"
install -m 600 "$BENCH_KEY" "$BENCH_SCRATCH/waxseal.key"
chown -R nobody "$BENCH_SPOOL" "$BENCH_SCRATCH/run"
entries=
for kind in $(echo "${BENCH_OPT_DKIM:-}" | tr , ' '); do
    key=$BENCH_SCRATCH/dkim-$kind.pem
    if [ "$kind" = rsa ]; then
        openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$key" 2>/dev/null
    else
        openssl genpkey -algorithm "$kind" -out "$key"
    fi
    chmod 600 "$key"
    entries="$entries${entries:+, }{ senders = \"*\"; domain = \"bench.test\"; selector = \"$kind\"; key = \"$key\"; }"
done
{
    [ -z "$entries" ] || echo "dkim = ( $entries );"
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
        case $name in BINARY | DKIM) continue ;; esac
        name=$(echo "$name" | tr 'A-Z_' 'a-z-')
        case $value in
            *[!0-9]*) echo "$name = \"$value\";" ;;
            *) echo "$name = $value;" ;;
        esac
    done
} > "$conf"
exec "$binary" run --config "$conf"
