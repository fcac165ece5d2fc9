#!/bin/sh
# hardening.sh BUILD: the Makefile's hardening flags have reached the binary and every object of it.
set -u
binary=$1/waxseal
wrong=0

has() { # FILE, readelf's option, what must be there, what gives it
    readelf -W "$2" "$1" 2>/dev/null | grep -q "$3" && return
    echo "$1 lacks $4"
    wrong=1
}

has "$binary" -h 'Type: *DYN' "-pie"
has "$binary" -l 'GNU_RELRO' "-z relro"
has "$binary" -l 'GNU_STACK.* RW ' "a stack that is not executable"
has "$binary" -d 'FLAGS_1.*NOW PIE' "-z now"
has "$binary" --dyn-syms '__stack_chk_fail' "-fstack-protector-strong"
has "$binary" --dyn-syms '__memcpy_chk' "-D_FORTIFY_SOURCE=2"
if [ "$(uname -m)" = x86_64 ]; then
    for source in */*.c lib/*/*.c queue/*/*.c; do
        case $source in tests/*) continue ;; esac
        has "$1/${source%.c}.o" -n 'IBT, SHSTK' "-fcf-protection"
    done
fi
exit "$wrong"
