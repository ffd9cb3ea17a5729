#!/bin/sh
# axe.sh: the report's pages by axe-core, which looks for what keeps people from using them: at 360, 1,280 and 1,920 px,
# light and dark, folded and unfolded. Needs Python and, unless axe-core is there from an earlier call, a network.
set -eu
cd "$(dirname "$0")/../.."
axe=build/axe/axe.min.js
if [ ! -s $axe ]; then
    mkdir -p build/axe
    python3 -m pip download -q --no-deps --dest build/axe axe-playwright-python==0.1.8 # has axe-core 4.12.1
    (cd build/axe && python3 -m zipfile -e axe_playwright_python-0.1.8-*.whl . && mv axe_playwright_python/axe.min.js .)
fi
head -c 60 $axe | head -n 1
AXE=$axe exec lua5.4 tests/report/test_page.lua
