#!/bin/sh
# tests/fuzz/run.sh BUILD SECONDS TARGET...: runs each target from its seeds; says how many held.
build=$1
seconds=$2
shift 2
passed=0
failed=0
for target in "$@"; do
    corpus=$build/corpus/$target
    mkdir -p "$corpus" "$build/crashes"
    if "$build/tests/fuzz/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -verbosity=0 \
        -artifact_prefix="$build/crashes/$target-" "$corpus" "tests/fuzz/seeds/${target#fuzz_}" \
        > "$build/$target.log" 2>&1; then
        passed=$((passed + 1))
        echo "fuzz: $target held for $seconds s from $(ls "tests/fuzz/seeds/${target#fuzz_}" | wc -l) seeds"
    else
        failed=$((failed + 1))
        echo "fuzz: $target FAILED:"
        tail -40 "$build/$target.log"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
