#!/bin/sh
# test_trace.sh: the tracer kills at the call that it is told, cuts a write in half, makes a call fail, and writes down
# what a program did; in a program that is linked statically, and in threads and children, too.
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/torture/torture.sh
mkdir "$tmp/in"

# Writes a file, renames it, reads it.
cat >"$tmp/program" <<'END'
cd "$1" && printf 'six..\n' >made && mv made named && cat named | cat
END
# Runs it, with the calls that change something counted.
traced() { # mode ...
    rm -f "$tmp/in"/*
    $tracer --under="$tmp/in" --calls=write,rename,renameat2 --hit="$tmp/hit" "$@" sh "$tmp/program" "$tmp/in" \
        >"$tmp/out" 2>&1
    code=$?
}
holds() { # code, what lies there then, as "name:bytes ..."
    found=$(cd "$tmp/in" && for f in *; do [ ! -e "$f" ] || printf '%s:%d ' "$f" "$(wc -c <"$f")"; done)
    echo "code $code, '$found'"
    [ "$code" = "$1" ] && [ "$found" = "$2" ]
}
traced kill 1 before
check "killed before the write" holds 137 "made:0 "
traced kill 1 within
check "killed within it" holds 137 "made:3 "
traced kill 1 after
check "killed behind it" holds 137 "made:6 "
traced kill 2 before
check "killed before the rename" holds 137 "made:6 "
check "it says where" grep -q "^2 rename.* $tmp/in/made $tmp/in/named$" "$tmp/hit"
traced kill 2 after
check "killed behind the rename" holds 137 "named:6 "
traced kill 3 before
check "there is no third" holds 0 "named:6 "
check "nothing is said of it" test ! -s "$tmp/hit"
traced kill 0 before
check "there are two" grep -qx 2 "$tmp/hit"
traced fail 1 ENOSPC
check "a write that fails" holds 1 "made:0 "
check "the program is told why" grep -q "No space left on device\|I/O error" "$tmp/out"
traced fail 2 EROFS
check "a rename that fails" grep -q "Read-only file system" "$tmp/out"
traced short 1
check "half a write is gone on with, or said" grep -q "six\|I/O error" "$tmp/out"

log_of() { # fields of the lines with a file in the folder
    awk -F'\t' 'NF == 8 { n = split($7, part, "/"); print $2, $3, $4, part[n] }' "$tmp/calls"
}
rm -f "$tmp/in"/*
$tracer --under="$tmp/in" record "$tmp/calls" sh "$tmp/program" "$tmp/in" >"$tmp/out"
logged() {
    log_of | tee /dev/stderr | tr '\n' ';' | grep -q "openat [0-9]* new 0 made;.*write 6 0 made;.*rename[a-z0-9]* 0 0 made;.*read 6 0 named"
}
check "a record has each call" logged
check "and what was written" grep -q '^six\.\.$' "$tmp/calls"

# Threads, children, and a program without a loader.
cat >"$tmp/threads.c" <<'END'
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
static void *work(void *name) {
    int fd = open(name, O_WRONLY | O_CREAT | O_APPEND, 0666);
    struct iovec parts[3] = {{"abc", 3}, {"", 0}, {"defgh", 5}};
    for (int i = 0; i < 100; i++) {
        if (writev(fd, parts, 3) < 0 || parts[2].iov_len != 5) {
            perror("writev");
        }
    }
    return NULL;
}
int main(void) {
    pthread_t thread[4];
    if (fork() == 0) {
        work("child");
        _exit(0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_create(&thread[i], NULL, work, (char *[]){"0", "1", "2", "3"}[i]);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
    }
    wait(NULL);
    return 3;
}
END
check "a program with threads" ${CC:-gcc} -static -pthread -o "$tmp/threads" "$tmp/threads.c"
threads() { # mode ...
    rm -f "$tmp/in"/*
    (cd "$tmp/in" && exec "$OLDPWD/$tracer" --under=. --calls=writev --hit="$tmp/hit" "$@" "$tmp/threads") >"$tmp/out" 2>&1
    code=$?
}
bytes_are() {
    bytes=$(cat "$tmp/in"/* | wc -c)
    echo "code $code, $bytes bytes"
    [ "$code" = "$1" ] && [ "$bytes" -ge "$2" ] && [ "$bytes" -le "$3" ]
}
threads record "$tmp/calls"
check "its code is the program's" bytes_are 3 4000 4000
check "every write of every thread" test "$(grep -c '	writev	8	' "$tmp/calls")" = 500
threads kill 250 within
check "all die together" bytes_are 137 1900 2100
threads short 250
check "half of a list of parts, and the list is as it was" bytes_are 3 3996 3996
threads fail 250+ ENOSPC
check "that call and all behind it" bytes_are 3 1992 1992

finish
