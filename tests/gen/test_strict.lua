-- test_strict: warnings are errors only with the compilers that were tried: tests/strict.sh, with made-up compilers.
local check = dofile("tests/gen/check.lua")
local files = require "gen.base.files"

local folder = io.popen("mktemp -d"):read("l")
local notes = folder .. "/notes"

-- Compiles with a made-up compiler of this name and version, which warns or not. Returns the exit code, the output, and
-- what was noted for the runner, if anything.
local function strict(name, says, version, warns)
  local path = folder .. "/" .. name
  files.write(path, ([[
#!/bin/sh
case "$*" in
    --version) echo '%s' ;;
    -dumpversion) echo %s ;;
    *-Werror*) %s ;;
    *) %s; echo "compiled $*" ;;
esac
]]):format(says, version, warns and "echo 'a.c:1: error: odd' >&2; exit 1" or "echo \"compiled $*\"",
    warns and "echo 'a.c:1: warning: odd' >&2" or ":"))
  os.execute("chmod +x " .. path)
  os.remove(notes)
  local pipe = io.popen(("DIECAST_WARNINGS=%s tests/strict.sh %s -c 'a b.c' 2>&1"):format(notes, path))
  local said = pipe:read("a")
  local _, _, code = pipe:close()
  return code, said, files.read(notes)
end

check.test("a compiler that was tried: warnings are errors", function()
  for _, one in ipairs { { "cc", "cc (Debian 12.2.0-14+deb12u1) 12.2.0", "12" },
    { "g++", "g++ (Debian 14.2.0-19) 14.2.0", "14" }, { "clang", "Debian clang version 14.0.6", "14.0.6" } } do
    local code, said, noted = strict(one[1], one[2], one[3], true)
    check.equal(code, 1)
    check.equal(said, "a.c:1: error: odd\n")
    check.equal(noted, nil)
    check.equal(strict(one[1], one[2], one[3], false), 0)
  end
  local code, said = strict("nvcc", "nvcc: NVIDIA (R) Cuda compiler driver\nrelease 13.0, V13.0.88", "12", false)
  check.equal(code, 0)
  check.equal(said, "compiled -c a b.c -Werror all-warnings -Xcompiler -Werror\n")
end)

check.test("any other compiler: warnings are shown and noted, and stop nothing", function()
  for _, one in ipairs { { "gcc", "gcc (GCC) 99.1.0", "99" }, { "clang", "clang version 99.1.0", "99.1.0" },
    { "nvcc", "nvcc: NVIDIA (R) Cuda compiler driver\nrelease 99.0, V99.0.1", "12" }, { "tcc", "tcc", "" } } do
    local code, said, noted = strict(one[1], one[2], one[3], true)
    check.equal(code, 0)
    assert(said:find("a.c:1: warning: odd\n", 1, true) and said:find("compiled -c a b.c\n", 1, true), said)
    assert(noted:find("a.c:1: warning: odd\n", 1, true), noted)
    code, said, noted = strict(one[1], one[2], one[3], false)
    check.equal(code, 0)
    check.equal(said, "compiled -c a b.c\n")
    check.equal(noted, nil)
  end
end)

check.test("a compiler's failure is passed on", function()
  files.write(folder .. "/bad", "#!/bin/sh\necho 'a.c:1: warning: odd' >&2; exit 3\n")
  os.execute("chmod +x " .. folder .. "/bad")
  os.remove(notes)
  local _, _, code = os.execute(("DIECAST_WARNINGS=%s tests/strict.sh %s/bad a.c 2>/dev/null"):format(notes, folder))
  check.equal(code, 3)
  check.equal(files.read(notes), nil)
end)

check.test("no other file makes warnings errors", function()
  -- The flag in format.sh is clang-format's.
  local pipe = io.popen("grep -rl -e -Werror Makefile gen runtime templates tests configs | LC_ALL=C sort")
  check.equal(pipe:read("a"), "gen/tools/format.sh\ntests/gen/test_strict.lua\ntests/strict.sh\n")
  pipe:close()
end)

os.execute("rm -r " .. folder)
check.finish()
