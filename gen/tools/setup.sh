#!/bin/sh
# setup.sh: installs with apt-get what a set of commands needs and this machine lacks.
#
#     gen/tools/setup.sh build | test | report | ...    installs what is missing, and says what
#     gen/tools/setup.sh --check build | cuda | ...     only says what is missing, and stops
#
# What is looked for is what is used (a command, a header, a Lua module), not the package, so a
# machine that has it from elsewhere installs nothing. Exit codes: 0 all is there; 69 something is
# missing and cannot be installed here (no apt-get, no rights, no such package).
set -u

# package  probe  argument
needs_build='
gcc           command gcc
libc6-dev     header  stdio.h
lua5.4        command lua5.4
lua-argparse  lua     argparse
lua-dkjson    lua     dkjson
libjsmn-dev   header  jsmn.h
libxxhash-dev header  xxhash.h'
needs_fetch='
curl            command curl
ca-certificates file    /etc/ssl/certs/ca-certificates.crt'
needs_musl='
musl-tools    command musl-gcc
libjsmn-dev   header  jsmn.h
libxxhash-dev header  xxhash.h'
needs_aarch64='
gcc-aarch64-linux-gnu command aarch64-linux-gnu-gcc
libc6-dev-arm64-cross libc    aarch64-linux-gnu-gcc
libjsmn-dev   header  jsmn.h
libxxhash-dev header  xxhash.h'
needs_riscv64='
gcc-riscv64-linux-gnu   command riscv64-linux-gnu-gcc
libc6-dev-riscv64-cross libc    riscv64-linux-gnu-gcc
libjsmn-dev   header  jsmn.h
libxxhash-dev header  xxhash.h'
needs_cross="$needs_aarch64$needs_riscv64"'
qemu-user     command qemu-aarch64'
needs_page='
clang                 command clang
lld                   command wasm-ld
wasi-libc             file    /usr/include/wasm32-wasi/stdlib.h
libclang-rt-dev-wasm32 wasm   any'
needs_unicode='
lua5.4          command lua5.4
unicode-data    file    /usr/share/unicode/UnicodeData.txt'
needs_report='
lua5.4        command lua5.4
lua-argparse  lua     argparse
lua-dkjson    lua     dkjson
libjs-chart.js file   /usr/share/javascript/chart.js/chart.min.js'
needs_browser='
chromium      browser any'
needs_kjv='
bible-kjv     command bible'
needs_test='
pkg-config    command pkg-config
check         header  check.h
libpcre2-dev  header  pcre2.h
lua-check     command luacheck
clang         command clang
clang-format  command clang-format
g++           command g++'
needs_torture='
valgrind      command valgrind'
# For programs with 32-bit pointers, by clang: gcc-multilib conflicts with cross compilers.
needs_32_bits=
[ "$(uname -m)" != x86_64 ] || needs_32_bits='
libc6-dev-i386  file /usr/include/x86_64-linux-gnu/gnu/stubs-32.h
lib32gcc-s1     file /usr/lib32/libgcc_s.so.1'
needs_firmware='
gcc-arm-none-eabi       command arm-none-eabi-gcc
libnewlib-arm-none-eabi newlib  libm.a
qemu-system-arm         command qemu-system-arm'
needs_ranks='
openmpi-bin     command mpirun
libopenmpi-dev  command mpicc'
needs_mpich='
mpich         command mpirun.mpich
libmpich-dev  command mpicc.mpich'
needs_cuda='
nvidia-cuda-toolkit nvcc nvcc'
needs_nccl='
libnccl-dev nccl nccl.h'

check_only=
[ "${1-}" = --check ] && check_only=1 && shift
what=${1-}
case $what in
    build) needs=$needs_build ;;
    fetch) needs=$needs_fetch ;;
    test) needs=$needs_build$needs_test$needs_musl$needs_report ;;
    report) needs=$needs_report ;;
    browser) needs=$needs_browser ;;
    32-bits) needs=$needs_32_bits ;;
    kjv) needs=$needs_kjv ;;
    unicode) needs=$needs_unicode ;;
    page) needs=$needs_page ;;
    musl) needs=$needs_musl ;;
    aarch64) needs=$needs_aarch64 ;;
    riscv64) needs=$needs_riscv64 ;;
    cross) needs=$needs_cross ;;
    firmware) needs=$needs_firmware ;;
    torture) needs=$needs_build$needs_torture ;;
    ranks) needs=$needs_ranks ;;
    mpich) needs=$needs_mpich ;;
    cuda) needs=$needs_cuda ;;
    nccl) needs=$needs_nccl ;;
    *)
        echo "gen/tools/setup.sh: '$what' is not known; wanted [--check] build, test, torture, fetch, kjv, musl, aarch64, riscv64, cross, firmware, report, browser, page, 32-bits, unicode, ranks, mpich, cuda or nccl" >&2
        exit 64
        ;;
esac

header() {
    for dir in /usr/include "/usr/include/$(uname -m)-linux-gnu" /usr/local/include; do
        [ -f "$dir/$1" ] && return 0
    done
    return 1
}

present() { # probe argument
    case $1 in
        command) command -v "$2" >/dev/null ;;
        nvcc) command -v nvcc >/dev/null || [ -x /usr/local/cuda/bin/nvcc ] ;;
        header) header "$2" ;;
        nccl) header "$2" || [ -f "/usr/local/cuda/include/$2" ] || [ -f "${NCCL_HOME:-/usr}/include/$2" ] ;;
        file) [ -f "$2" ] ;;
        libc) "$2" -print-file-name=crt1.o 2>/dev/null | grep -q / ;; # of a compiler
        newlib) arm-none-eabi-gcc -print-file-name="$2" 2>/dev/null | grep -q / ;;
        browser)
            for name in chromium chromium-browser google-chrome google-chrome-stable; do
                command -v $name >/dev/null && return 0
            done
            return 1
            ;;
        wasm) # what clang's own library has for WebAssembly
            [ -f "$(clang --target=wasm32-wasi --rtlib=compiler-rt -print-libgcc-file-name 2>/dev/null)" ]
            ;;
        lua) command -v lua5.4 >/dev/null && lua5.4 -E -e "require '$2'" 2>/dev/null ;;
    esac
}

missing=$(echo "$needs" | sort -u | while read -r package probe argument; do
    [ -z "$package" ] || present "$probe" "$argument" || printf '%s ' "$package"
done)
missing=${missing% }
[ -n "$missing" ] || exit 0

stop() {
    echo "set-up: missing: $missing; $1" >&2
    exit 69
}
command -v apt-get >/dev/null ||
    stop "there is no apt-get here: install these packages (Debian's names) by other means"
[ "$what" != cuda ] ||
    stop "install NVIDIA's CUDA toolkit (nvcc and cuBLASLt; 13.0 was tried); BACKEND=cpu does without it"
[ "$what" != nccl ] ||
    stop "install NVIDIA's NCCL (libnccl2, libnccl-dev), or pip install nvidia-nccl-cu13 and NCCL_HOME=.../site-packages/nvidia/nccl"
[ -z "$check_only" ] || stop "'make setup' or 'apt-get install $missing' installs it"
as_root=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || stop "as root: apt-get install $missing"
    as_root='sudo'
fi

echo "set-up: installing with ${as_root:+sudo }apt-get: $missing"

log=$(mktemp 2>/dev/null) || log=build/setup.log # TMPDIR may be gone
trap 'rm -f "$log"' EXIT
$as_root apt-get -q -o Acquire::Retries=3 update >"$log" 2>&1 ||
    echo "set-up: apt-get update: $(grep -m 1 '^[EW]:' "$log")" >&2
for package in $missing; do
    apt-cache show "$package" >/dev/null 2>&1 ||
        stop "there is no package '$package' for this release; install it by other means"
done
# shellcheck disable=SC2086 # a list of words
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Acquire::Retries=3 -o DPkg::Lock::Timeout=120 \
    install --no-install-recommends $missing >"$log" 2>&1 </dev/null || {
    tail -n 3 "$log" >&2
    stop "apt-get could not install it"
}
