#!/bin/sh
# format.sh [--check]: clang-format on all C but the goldens; with --check it only says which files
# would change. Releases of clang-format format the same style differently: the project's is 14, and
# with any other one nothing is done (exit 77).
set -eu
cd "$(dirname "$0")/../.."

found=$(clang-format --version | sed -n 's/.*version \([0-9]*\)\..*/\1/p')
if [ "$found" != 14 ]; then
    echo "format: this is clang-format $found, the project's is 14: nothing done"
    exit 77
fi
list() {
    find runtime templates tests -name golden -prune -o -type f \( -name '*.[ch]' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) -print
}
if [ "${1-}" = --check ]; then
    list | LC_ALL=C sort | xargs clang-format --dry-run -Werror
    echo "format: $(list | wc -l) files are formatted"
else
    list | xargs clang-format -i
fi
