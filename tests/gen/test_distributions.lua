-- test_distributions: tests/distributions.sh where it cannot make a root prints one line and is skipped.
local check = dofile("tests/gen/check.lua")
local files = require "gen.base.files"

local folder = io.popen("mktemp -d"):read("l")

-- Puts stand-ins for programs before the machine's own, by name.
local function stand_in(programs)
  os.execute(("rm -rf %s/bin && mkdir %s/bin"):format(folder, folder))
  for name, text in pairs(programs) do
    files.write(folder .. "/bin/" .. name, "#!/bin/sh\n" .. text .. "\n")
    os.execute(("chmod +x %s/bin/%s"):format(folder, name))
  end
end

local function ends(words, code, said)
  local pipe = io.popen(("PATH=%s/bin:$PATH %s 2>&1"):format(folder, words))
  local text = pipe:read("a")
  local _, _, got = pipe:close()
  check.equal(got, code, text)
  check.equal(select(2, text:gsub("\n", "")), 1, text)
  if not text:find(said, 1, true) then error(("%q: no %q"):format(text, said), 2) end
end

check.test("wrong words", function()
  stand_in {}
  ends("tests/distributions.sh", 64, "'': wanted a suite of Debian's or Ubuntu's")
  ends("tests/distributions.sh ../x", 64, "'../x': wanted a suite")
  ends("CLANG=new tests/distributions.sh sid", 64, "CLANG=new: wanted a version, as in CLANG=19")
end)

check.test("what is missing is named, and the test skipped", function()
  stand_in { id = "echo 1000" }
  ends("tests/distributions.sh nosuch", 77, "nosuch: skipped: it takes root's rights")
  local without = folder .. "/without" -- a PATH that has no debootstrap
  os.execute(("mkdir %s && for name in sh dirname; do ln -s $(command -v $name) %s; done"):format(without, without))
  stand_in { id = "echo 0" }
  ends(("env PATH=%s/bin:%s tests/distributions.sh nosuch"):format(folder, without), 77, "there is no debootstrap")
  stand_in { id = "echo 0", debootstrap = "", unshare = "exit 1" }
  ends("tests/distributions.sh nosuch", 77, "unshare: this machine gives no namespaces")
end)

check.test("a root that cannot be made is named, and not left incomplete", function()
  stand_in { id = "echo 0", unshare = "", debootstrap = [[
for root; do case $root in build/roots/*) mkdir -p $root/proc ;; esac; done
echo 'I: Retrieving InRelease'; echo 'E: Failed getting release file' >&2; exit 1]] }
  local pipe = io.popen(("PATH=%s/bin:$PATH tests/distributions.sh nosuch 2>&1; echo $?"):format(folder))
  check.equal(pipe:read("a"), "distributions: making build/roots/nosuch\n" ..
    "distributions: nosuch: skipped: debootstrap: E: Failed getting release file\n77\n")
  pipe:close()
  check.equal(os.execute("ls -d build/roots/nosuch build/roots/nosuch.new build/roots/nosuch.run* 2>/dev/null"), nil)
  os.execute("rm -rf build/roots/nosuch.log build/roots/nosuch.packages; rmdir build/roots 2>/dev/null")
end)

os.execute("rm -r " .. folder)
check.finish()
