-- test_emit: emitted text is the same from run to run, fits its columns, compiles without a warning, and
-- no string in a config becomes code.
local check = require "tests.gen.check"
local pipeline = require "gen.passes.pipeline"
local hash = require "gen.config.hash"
local emit = require "gen.emit.frames"
local literal = require "gen.emit.literal"
local files = require "gen.base.files"
local samples = require "tests.gen.samples"

local root = os.tmpname()
os.remove(root)
assert(os.execute("mkdir -p " .. root))

local function run(command)
  local pipe = io.popen(command .. " 2>&1", "r")
  local output = pipe:read("a")
  local ok, _, code = pipe:close()
  return ok and 0 or code, output
end

local function must(command)
  local code, output = run(command)
  if code ~= 0 then error(("%s: exit %d: %s"):format(command, code, output), 0) end
  return output
end

local function has(command)
  return run("command -v " .. command) == 0
end

local function no_dump() end

-- The emitted files of a config, by name.
local function emit_all(c)
  local g = pipeline.train(c, no_dump)
  local facts = emit.facts(g, c, hash.of(c), "this test")
  return {
    ["model.h"] = emit.model_h(facts),
    ["train.c"] = emit.train_c(g, facts),
    ["sample.c"] = emit.sample_c(pipeline.sample(c, no_dump), facts),
  }
end

-- ---- figures ----

-- An op that fused into nothing is a step of its own kernel; it counts once.
check.test("the FLOP of a pointwise op that stands alone", function()
  local kernels = require "gen.emit.kernels"
  local config = require "gen.config.load"
  local c = config.load({ "configs/notebook_small.lua" }, { "vocab_size=65" }, { backend = "cuda" })
  local g, seen = pipeline.train(c, no_dump), 0
  for _, node in ipairs(g.nodes) do
    if node.op.expr and #node.epilogue == 0 and not node.prologue then
      seen = seen + 1
      check.equal(kernels.text(node, g.target, false).flops, node.op.flops(node.dims, node.attrs), node.op.name)
    end
  end
  assert(seen > 0, "no op of this config stands alone")
end)

-- ---- the same bytes ----

local tiny = root .. "/tiny.lua"
files.write(tiny, [[return { n_layer = 3, n_head = 2, n_embd = 12, block_size = 8, batch_size = 2,
  vocab_size = 30, dropout = 0.1, bias = true, isa = "avx2", max_iters = 7 }]])

-- Generates into `folder`; returns the hashes and names of the files.
local function generate(folder, before)
  must(("%s lua5.4 gen/main.lua --build %s %s"):format(before or "", folder, tiny))
  return must(("cd %s && find . -type f | LC_ALL=C sort | xargs sha256sum | grep -v build.mk"):format(folder))
end

-- Lua seeds its hash tables differently in each process.
check.test("in another process", function()
  local first = generate(root .. "/a")
  for i = 1, 3 do check.same_text(generate(root .. "/again" .. i), first) end
end)

check.test("over an older build, whose unchanged files are not rewritten", function()
  local first = generate(root .. "/a")
  local path = must("ls " .. root .. "/a/*/cpu/train.c"):match("[^\n]+")
  must("touch -d 2001-01-01 " .. path)
  check.same_text(generate(root .. "/a"), first)
  check.equal(must("stat -c %Y " .. path), must("date -d 2001-01-01 +%s"))
end)

check.test("in another place", function()
  local first = generate(root .. "/a")
  must(("mkdir -p %s/tree/copy && cp -r gen templates configs %s/tree/copy"):format(root, root))
  must(("cd %s/tree/copy && lua5.4 gen/main.lua --build out %s"):format(root, tiny))
  check.same_text(must(("cd %s/tree/copy/out && find . -type f | LC_ALL=C sort | xargs sha256sum" ..
    " | grep -v build.mk"):format(root)), first)
end)

check.test("in another locale, at another time, with another environment", function()
  local first = generate(root .. "/a")
  check.same_text(generate(root .. "/c", "LC_ALL=C TZ=Asia/Tokyo"), first)
  check.same_text(generate(root .. "/d", "env -i PATH=\"$PATH\" HOME=/"), first)
  check.same_text(generate(root .. "/e", "LC_ALL=C.UTF-8 LANG=C.UTF-8"), first)
end)

check.test("in a locale with decimal commas", function()
  local locale = must("locale -a"):match("de_%u%u%.%w+") or must("locale -a"):match("fr_%u%u%.%w+")
  if not locale then check.skip("no de_ or fr_ locale is installed") end
  check.same_text(generate(root .. "/f", "LC_ALL=" .. locale), generate(root .. "/a"))
end)

check.test("run keys do not change what a build shares", function()
  generate(root .. "/a")
  must(("lua5.4 gen/main.lua --build %s/a %s learning_rate=0.5"):format(root, tiny))
  local count = must(("ls -d %s/a/*/cpu/train.c | wc -l"):format(root))
  check.equal(count, "1\n", "model folders")
end)

check.test("no path, user or host", function()
  generate(root .. "/a")
  local text = must(("cat %s/a/*/cpu/*.[ch] %s/a/*/cpu/ir/* %s/a/include/*"):format(root, root, root))
  for _, word in ipairs { root, must("pwd"):match("[^\n]+"), must("uname -n"):match("[^\n]+") } do
    if #word > 3 and text:find(word, 1, true) then error("the emitted text has " .. word) end
  end
end)

-- ---- the text ----

local function check_lines(words, files_of)
  for name, text in pairs(files_of) do
    local number = 0
    for line in text:gmatch("([^\n]*)\n") do
      number = number + 1
      if #line > 100 or line:find("[ \t]$") or line:find("\t") then
        error(("%s: %s:%d: %s"):format(words, name, number, line), 0)
      end
    end
  end
end

check.test("every line fits 100 columns; no blanks at ends, no tabs", function()
  samples.random(25, function(c, words) check_lines(words, emit_all(c)) end)
end)

check.test("also with sizes of many digits, which are a part of names", function()
  local words = { "n_layer=2", "n_head=16", "n_embd=1024", "n_kv_head=4", "block_size=1024", "batch_size=16",
    "dropout=0.1", "window=SL", "window_size=1000", "attn_softcap=30.5", "recompute=block" }
  check_lines("cpu", emit_all(samples.config(table.unpack(words))))
  words[#words + 1], words[#words + 2] = "backend=cuda", "arch=sm_90a"
  local c = samples.config(table.unpack(words))
  local g = pipeline.train(c, no_dump)
  check_lines("cuda", { ["train.cu"] = emit.train_cu(g, c, emit.facts(g, c, hash.of(c), "this test")) })
end)

-- The names that a file defines, without functions and tables of the runtime's interface.
local function definitions(text)
  local names = {}
  for head in text:gmatch("\n(static [^\n;=]+%b())[^\n;]*{\n") do
    names[#names + 1] = head:match("([%w_]+)%s*%(")
  end
  for line in text:gmatch("\nVEC_INLINE ([^\n]+)") do names[#names + 1] = line:match("([%w_]+)%(") end
  return names
end

check.test("no two kernels of a program have the same name", function()
  samples.random(25, function(c, words)
    local emitted, seen, count = emit_all(c), {}, 0
    for _, name in ipairs { "train.c", "sample.c" } do
      for _, defined in ipairs(definitions((emitted[name]:gsub(",\n%s+", ", ")))) do
        if seen[defined] then error(("%s: %s is defined twice"):format(words, defined), 0) end
        seen[defined] = true
        count = count + 1
      end
    end
    if count < 30 then error(("%s: only %d definitions were found"):format(words, count), 0) end
  end)
end)

check.test("a call names its site in the model, a kernel its template", function()
  local texts = emit_all(samples.config())
  local text, sites = texts["train.c"], 0
  for site in text:gmatch("\n *// ([^\n]+)\n *RUN") do
    sites = sites + 1
    assert(site:find("^block%.l%.[%w_.]+$") or site:find("^[a-z][%w_.]*$"), site)
  end
  assert(sites > 15, "only " .. sites .. " calls have a name")
  for _, site in ipairs { "block.l.ln_1", "block.l.fc", "block.0.x", "logits", "loss" } do
    assert(text:find("// " .. site .. "\n", 1, true), site)
  end
  local found = 0
  for name, path in text:gmatch("\n// ([%w_]+), from (templates/cpu/[%w_]+%.c)[.:]") do
    found = found + 1
    assert(files.read(path), name)
  end
  if found < 10 then error("only " .. found .. " kernels say where they are from") end
end)

-- Otherwise one line more in the model or in a template would change every golden file.
check.test("no emitted text and no dump has a line number", function()
  for name, text in pairs(emit_all(samples.config())) do
    local at = text:match("[%w_/]+%.lua:%d+") or text:match("templates/[%w_/]+%.%a+:%d+")
    assert(not at, name .. " has " .. tostring(at))
  end
  pipeline.train(samples.config(), function(name, text)
    assert(not text:find("%.lua:%d"), name)
  end)
end)

check.test("two kernels with the same name are refused", function()
  local c = samples.config()
  local g = pipeline.train(c, no_dump)
  local facts = emit.facts(g, c, "0", "this test")
  for _, node in ipairs(g.nodes) do
    if node.outputs[1] and node.outputs[1].name:find("ln_2%.y") then node.attrs.eps = 1e-3 end
  end
  check.raises(function() emit.train_c(g, facts) end, 70, "two different kernels are named layernorm_24x16")
end)

local flags = "-std=gnu11 -ffp-contract=off -Wall -Wextra -fsyntax-only -I. -I" .. root ..
  "/a/include"

for _, cc in ipairs { "gcc", "clang" } do
  check.test("no warning of " .. cc, function()
    if not has(cc) then check.skip("no " .. cc) end
    generate(root .. "/a")
    samples.random(8, function(c, words)
      if c.isa == "neon" then return end
      local isa = require("gen.ir.isa")[c.isa].flags
      for name, text in pairs(emit_all(c)) do files.write(root .. "/w/" .. name, text) end
      for _, name in ipairs { "train.c", "sample.c" } do
        local code, output = run(("tests/strict.sh %s %s %s -I%s/w %s/w/%s"):format(cc, flags, isa, root, root, name))
        if code ~= 0 then error(words .. ": " .. output:sub(1, 2000), 0) end
      end
    end)
  end)
end

-- ---- a config's strings are data ----

local hostile = {
  [["; int main(void) { return 7; } //]], [[\]], [[\\"]], [[a\]], "$(os.exit(1))", "$(k.name) //$ end",
  "*/ #error x /*", "??/", "a??/??'??(", "%s%n%d", "'; rm -rf x; '", "`id`", "$HOME", "\u{e9}\u{4e00}\u{1f600}",
  "#include \"/etc/passwd\"", "\\x41\\n\\101", "//", "??=define", "9\\", "\\0017", ("q"):rep(900),
}

local reader = [[
#include "runtime/train/train.h"
int main(void) {
    printf("%s\n%s\n%s\n", run_defaults.out_dir, run_defaults.init_from, run_config_name);
    return 0;
}
]]

local function compile_reader(standard, folder)
  files.write(root .. "/reader.c", reader)
  must(("tests/strict.sh gcc %s -Wall -Wextra -I. -I%s/a/include -o %s/reader %s/reader.c %s/cpu/defaults.c")
    :format(standard, root, root, root, folder))
end

local function lua_string(text) return ("%q"):format(text) end

check.test("strings pass through C unchanged", function()
  generate(root .. "/a")
  for i, text in ipairs(hostile) do
    local path = ("%s/h%d.lua"):format(root, i)
    files.write(path, ("return { n_layer = 1, n_head = 1, n_embd = 4, block_size = 4, batch_size = 1, " ..
      "vocab_size = 5, isa = 'generic', out_dir = %s, init_from = %s }"):format(lua_string(text),
      lua_string(text)))
    must(("lua5.4 gen/main.lua --build %s/h %s"):format(root, path))
    for _, standard in ipairs { "gnu11", "c11" } do -- c11 has trigraphs
      compile_reader("-Wno-trigraphs -std=" .. standard, ("%s/h/h%d"):format(root, i))
      check.equal(must(root .. "/reader"), ("%s\n%s\nh%d\n"):format(text, text, i), "text " .. i)
    end
  end
end)

check.test("an assignment's text, which names the build", function()
  for i, text in ipairs(hostile) do
    if #text < 100 then
      local word = files.quoted("out_dir=" .. text)
      must(("lua5.4 gen/main.lua --build %s/s%d %s %s"):format(root, i, tiny, word))
      local folders = must(("ls %s/s%d | LC_ALL=C grep -c tiny"):format(root, i))
      check.equal(folders, "1\n", "folders of " .. text)
      compile_reader("-std=gnu11", ("%s/s%d/tiny*"):format(root, i))
      check.equal(must(root .. "/reader"), ("%s\nauto\ntiny-out_dir=%s\n"):format(text, text:gsub("/", "_")),
        "text " .. i)
    end
  end
end)

check.test("control characters are refused earlier", function()
  for _, text in ipairs { "a\nb", "a\rb", "a\tb", "\27[0m", "a\0b" } do
    files.write(root .. "/control.lua", "return { out_dir = " .. lua_string(text) .. " }")
    local code, output = run(("lua5.4 gen/main.lua --build %s/x %s/control.lua"):format(root, root))
    check.equal(code, 64, "exit code")
    if not output:find("control characters", 1, true) then error(output) end
  end
  -- A key that means nothing here takes any value, but is a part of the build's name, which comments have.
  for _, words in ipairs { "$'device=x\ny'", "--name $'x\ny'" } do
    local line = "lua5.4 gen/main.lua --build %s/x configs/bigram.lua vocab_size=65 " .. words:gsub("\n", "\\n")
    local code, output = run("bash -c " .. files.quoted(line:format(root)))
    check.equal(code, 64, "exit code")
    if not output:find("control characters", 1, true) then error(output) end
  end
end)

check.test("literal.string leaves nothing for C to interpret", function()
  check.equal(literal.string('a"b\\c'), '"a\\042b\\134c"')
  check.equal(literal.string("\n1\200"), '"\\0121\\310"')
  check.equal(literal.string("??/??"), '"?\\077/?\\077"')
  check.equal(literal.string("???"), '"?\\077?"')
end)

os.execute("rm -rf " .. root)
check.finish()
