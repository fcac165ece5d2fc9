#!/bin/sh
# tests/fuzz/run.sh BUILD SECONDS TARGET...: runs each target from its seeds, two at a time; says how many held.
if [ "$1" = --one ]; then
    build=$2 seconds=$3 target=$4
    seeds=tests/fuzz/seeds/${target#fuzz_}
    corpus=$build/corpus/$target
    mkdir -p "$corpus" "$build/crashes"
    if "$build/tests/fuzz/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -verbosity=0 \
        -artifact_prefix="$build/crashes/$target-" "$corpus" "$seeds" > "$build/$target.log" 2>&1; then
        echo "fuzz: $target held for $seconds s from $(ls "$seeds" | wc -l) seeds"
        exit 0
    fi
    echo "fuzz: $target FAILED:"
    tail -40 "$build/$target.log"
    exit 1
fi
build=$1
seconds=$2
shift 2
said=$(printf '%s\n' "$@" | xargs -P2 -I{} "$0" --one "$build" "$seconds" {})
echo "$said"
passed=$(echo "$said" | grep -c "^fuzz: .* held for")
echo "$passed passed, $(($# - passed)) failed"
[ "$passed" -eq $# ]
