-- test_firmware: what make firmware is made of: the parts of C files that a text uses (shake.lua), how deep a stack is
-- (stack.lua), whether a model fits a board (boards.lua). tests/train/test_firmware.sh builds and runs all of it.
local check = require("tests.gen.check")
local boards = require("gen.firmware.boards")
local files = require("gen.base.files")
local shake = require("gen.firmware.shake")
local stack = require("gen.firmware.stack")

local folder = os.tmpname()
os.remove(folder)

-- What a text takes of a file with these contents, without the line that names the file.
local function taken(text, contents, renamed)
  local path = folder .. "/a.h"
  files.write(path, contents)
  return (shake.text(text, { path }, renamed or {}):gsub("^// %-%-%-%- of [^\n]*\n\n", ""))
end

local contents = [[
// a.h: a comment that is nobody's.
#ifndef DIECAST_A_H
#define DIECAST_A_H

#include <math.h>

// Used by both.
enum { WIDE = 4, DEEP };

struct pair {
    int a, b;
};
int prototype(int a);

// Two lines
// of comment.
static int first(int a) {
    return a + WIDE; // not second
}

int second(struct pair p) {

    return first(p.a);
}
static const int table_of[2] = {1, 2};
#define LONG(a) \
    table_of[a]
#if defined(__AVX2__)
static int other(void) {
    return 2;
}
#elif defined(__ARM_NEON) || defined(__SSE2__)
static int other(void) {
    return 1;
}
#else
static int other(void) {
    return 0;
}
#endif
#if defined(__clang__)
#define BY_COMPILER 1
#else
#define BY_COMPILER 2
#endif
#endif
]]

check.test("nothing is taken of what nobody uses", function()
  check.equal(taken("int x;\n", contents), "")
end)

check.test("a function brings what it uses, with comments, and becomes the text's own", function()
  check.equal(taken("int main(void) { return second(); }\n", contents), [[
// Used by both.
enum { WIDE = 4, DEEP };

struct pair {
    int a, b;
};

// Two lines
// of comment.
static int first(int a) {
    return a + WIDE; // not second
}

static int second(struct pair p) {

    return first(p.a);
}
]])
end)

check.test("what the text defines itself is not taken, nor what a comment names", function()
  check.equal(taken("// first\nint first(int a) {\n    return a;\n}\n", contents), "")
end)

check.test("a macro, and what it stands for", function()
  check.equal(taken("int x = LONG(1);\n", contents),
    "static const int table_of[2] = {1, 2};\n\n#define LONG(a) \\\n    table_of[a]\n")
end)

check.test("of a condition what holds without vectors; of one that is not known both", function()
  check.equal(taken("int x = other();\n", contents), "static int other(void) {\n    return 0;\n}\n")
  check.equal(taken("int x = BY_COMPILER;\n", contents),
    "#if defined(__clang__)\n#define BY_COMPILER 1\n#else\n#define BY_COMPILER 2\n#endif\n")
end)

check.test("a macro that only left-out code defines is not there; one that is defined is not known", function()
  local dead = "#if defined(__SSE2__)\n#define PAIRS\n#endif\n\n"
  local function chosen(before)
    return taken("f();", before .. [[
#if defined(__AVX2__)
static int f(void) { return 1; }
#elif defined(PAIRS)
static int f(void) { return 2; }
#else
static int f(void) { return 3; }
#endif
]])
  end
  check.equal(chosen(dead), "static int f(void) { return 3; }\n")
  for _, both in ipairs { "#define PAIRS\n\n" .. dead, dead .. "#define PAIRS\n\n" } do
    local fine, message = pcall(chosen, both)
    assert(not fine and message:find("cannot be decided", 1, true), message)
  end
end)

check.test("a word is renamed", function()
  check.equal(taken("struct two x;\n", contents, { ["struct pair"] = "struct two" }),
    "struct two {\n    int a, b;\n};\n")
end)

check.test("a stack is that of the deepest calls", function()
  local calls = [[
node: { title: "a.c:low" label: "low\na.c:1:1\n40 bytes (static)" }
node: { title: "a.c:flat" label: "flat\na.c:2:1\n100 bytes (static)" }
node: { title: "top" label: "top\na.c:3:1\n16 bytes (static)" }
node: { title: "expf" label: "expf\n<built-in>" shape : ellipse }
edge: { sourcename: "top" targetname: "a.c:low" label: "" }
edge: { sourcename: "top" targetname: "a.c:flat" label: "" }
edge: { sourcename: "a.c:low" targetname: "expf" label: "" }
]]
  check.equal(stack.of(calls, "top"), 16 + 40 + 256)
  check.equal(stack.of(calls, "a.c:flat"), 100)
end)

check.test("boards", function()
  local board = boards.find("stm32f405")
  check.equal(boards.problem(board, 1048576, 131072), nil)
  check.equal(boards.problem(board, 1048577, 131073),
    "flash: 1,048,577 of 1,048,576 bytes, RAM: 131,073 of 131,072 bytes")
  check.equal(boards.find(""), nil)
  check.raises(function() boards.find("pico") end, 64, "BOARD: 'pico' is not known; there are: rp2350, ")
end)

os.execute("rm -rf " .. folder)
check.finish()
