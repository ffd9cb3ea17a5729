#!/bin/sh
# distributions.sh: runs README's two commands on a bare Debian or Ubuntu, in a root made by debootstrap.
#
#     tests/distributions.sh SUITE [COMMAND ...]     bookworm, trixie, jammy, noble ...; the default
#                                                    commands are `make demo` and `make test`
#     CLANG=19                                       the version of `clang` there
#
# The bare root is kept in build/roots/SUITE for later runs, and so are the packages that commands install.
# Commands run in a copy of it, in a clone of what is committed here, in their own namespaces for mounts
# and processes (unshare), which end with the commands or this script, however it ends. The exit code is
# that of the first command that fails; 77 if such a root cannot be made here, which needs root's rights,
# debootstrap and a mirror.
set -eu
cd "$(dirname "$0")/.."

if [ "${1-}" = --inside ]; then # the first process in the new namespaces: mounts, then the commands
    root=$2 packages=$3
    shift 3
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
    mount -t tmpfs shm "$root/dev/shm"
    mount --bind "$packages" "$root/var/cache/apt/archives"
    failed=0
    for command; do
        echo "\$ $command"
        code=0
        chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
            sh -c "cd /root/diecast && $command" </dev/null || code=$?
        echo "\$ $command: exit code $code"
        [ $failed != 0 ] || failed=$code
    done
    exit $failed
fi

suite=${1-}
wrong() {
    echo "distributions: $1" >&2
    exit 64
}
case $suite in '' | *[!a-z]*) wrong "'$suite': wanted a suite of Debian's or Ubuntu's: bookworm, trixie, noble ..." ;; esac
case ${CLANG-} in *[!0-9]*) wrong "CLANG=$CLANG: wanted a version, as in CLANG=19" ;; esac
shift
[ $# != 0 ] || set -- 'make demo' 'make test'
[ -z "${CLANG-}" ] || set -- "apt-get -q update && apt-get -q -y install --no-install-recommends clang-$CLANG \
>/dev/null && ln -s /usr/bin/clang-$CLANG /usr/local/bin/clang && ln -s /usr/bin/clang++-$CLANG /usr/local/bin/clang++" "$@"

skip() {
    echo "distributions: $suite: skipped: $1"
    exit 77
}
[ "$(id -u)" = 0 ] || skip "it takes root's rights"
command -v debootstrap >/dev/null || skip "there is no debootstrap; 'apt-get install debootstrap' installs it"
unshare --mount --pid --fork true 2>/dev/null || skip "unshare: this machine gives no namespaces"

bare=build/roots/$suite
if [ ! -d "$bare" ]; then
    echo "distributions: making $bare"
    mkdir -p "$bare.packages"
    rm -rf --one-file-system "$bare.new"
    components=main
    ! grep -qs ubuntu "/usr/share/debootstrap/scripts/$suite" || components=main,universe
    # What README assumes: a base system, git and make.
    debootstrap --variant=minbase --force-check-gpg --components=$components --include=git,make,ca-certificates \
        "$suite" "$bare.new" >"$bare.log" 2>&1 || {
        rm -rf --one-file-system "$bare.new"
        skip "debootstrap: $(tail -n 1 "$bare.log")"
    }
    rm -f "$bare.new"/var/cache/apt/archives/*.deb
    mv "$bare.new" "$bare"
fi

inside=
# Remove the copies of killed runs; their mounts are gone already.
for old in "$bare".run.*; do
    [ ! -d "$old" ] || kill -0 "${old##*.}" 2>/dev/null || rm -rf --one-file-system "$old"
done
run=$bare.run.$$
mkdir "$run"
ends() {
    [ -z "$inside" ] || kill -KILL "$inside" 2>/dev/null || true
    rm -rf --one-file-system "$run" 2>/dev/null || { sleep 2 && rm -rf --one-file-system "$run"; }
}
trap ends EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
cp -a "$bare/." "$run"
[ -z "$(git status --porcelain)" ] || echo "distributions: what is not committed is left out"
git clone -q --no-hardlinks . "$run/root/diecast"
unshare --mount --pid --fork --kill-child tests/distributions.sh --inside "$run" "$bare.packages" "$@" &
inside=$!
code=0
wait $inside || code=$?
inside=
echo "distributions: $suite: exit code $code"
exit $code
