#!/bin/sh
# picture.sh: makes a picture of a report for a README: parts of the page side by side, by headless Chromium.
#
#     tests/report/picture.sh out/reports/grid32_quick.html tests/report/report.png [SECTION ...]
#
# A section is an id of templates/report/page.html; the default is summary, curves, effects and attention.
set -eu
page=$1 picture=$2
shift 2
[ $# -gt 0 ] || set -- summary curves effects attention
width=1040 height=840 percent=56 # of a part, and the size at which it is drawn

browser=
for name in chromium chromium-browser google-chrome google-chrome-stable; do
    [ -n "$browser" ] || browser=$(command -v $name || true)
done
[ -n "$browser" ] || {
    echo "picture: there is no Chromium here; install the package chromium" >&2
    exit 69
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
columns=$((($# + 1) / 2))
{
    echo '<!DOCTYPE html><meta charset="utf-8"><body style="margin:0;background:#d5dae0">'
    echo "<div style=\"display:grid;grid-template-columns:repeat($columns,$((width * percent / 100))px);gap:6px\">"
    for section; do
        echo "<div style=\"height:$((height * percent / 100))px;overflow:hidden\"><iframe style=\"width:${width}px;"
        echo "height:${height}px;border:0;color-scheme:light;transform:scale(.$percent);transform-origin:0 0\""
        echo "src=\"file://$(realpath "$page")#$section\"></iframe></div>"
    done
    echo '</div>'
} >"$folder/around.html"
total_width=$((columns * (width * percent / 100) + 6 * (columns - 1)))
total_height=$((2 * (height * percent / 100) + 6))
"$browser" --headless=new --no-sandbox --disable-gpu --user-data-dir="$folder/profile" --hide-scrollbars --force-prefers-reduced-motion \
    --window-size="$total_width,$total_height" --virtual-time-budget=20000 --screenshot="$folder/picture.png" \
    "file://$folder/around.html" >/dev/null 2>&1
mv "$folder/picture.png" "$picture"
echo "picture: $picture, $(stat -c %s "$picture") bytes"
