#!/bin/sh
# format.sh [--check]: clang-format on all C but the goldens; with --check it only says which files
# would change. Releases of clang-format format the same style differently: the project's is 14, and
# with any other one nothing is done (exit 77). A line of more than 100 columns fails with any: comments
# and the Lua of templates are not clang-format's to break.
set -eu
cd "$(dirname "$0")/../.."

list() {
    find runtime templates tests -name golden -prune -o -type f \( -name '*.[ch]' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) -print
}
long_lines() { # says them, and fails if there are any
    long=$(list | LC_ALL=C sort | LC_ALL=C.UTF-8 xargs grep -nE '^.{101,}' || true)
    [ -z "$long" ] || {
        printf '%s\n' "$long" 'format: these lines have more than 100 columns'
        exit 1
    }
}
[ "${1-}" != --check ] || long_lines
found=$(clang-format --version | sed -n 's/.*version \([0-9]*\)\..*/\1/p')
if [ "$found" != 14 ]; then
    echo "format: this is clang-format $found, the project's is 14: nothing done"
    exit 77
fi
if [ "${1-}" = --check ]; then
    list | LC_ALL=C sort | xargs clang-format --dry-run -Werror
    echo "format: $(list | wc -l) files are formatted"
else
    list | xargs clang-format -i
    long_lines
fi
