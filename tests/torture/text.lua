-- text: random strings as values of configs, sweeps and runs: where they reach C, a shell, make or HTML they are text
-- and nothing else, or they were refused with one line. test_text.sh runs it, from the root:
--
--     lua5.4 tests/torture/text.lua FOLDER SEED COUNT     FOLDER: scratch; COUNT: strings for each of the five
package.path = "./?.lua;" .. package.path
local json = require("dkjson")
local check = require("tests.gen.check")
local config = require("gen.config.load")
local effects = require("gen.report.effects")
local file = require("gen.sweep.file")
local files = require("gen.base.files")
local fixture = require("tests.report.fixture")
local hash = require("gen.config.hash")
local literal = require("gen.emit.literal")
local page = require("gen.report.page")
local plan = require("gen.report.plan")
local run_keys = require("gen.emit.run_keys")
local recipes = require("gen.sweep.recipes")
local words = require("gen.report.words")

local folder, seed, count = arg[1], math.tointeger(arg[2]), math.tointeger(arg[3])
math.randomseed(seed)

-- ---- strings -------------------------------------------------------------------------------------

-- What means something to C, a shell, make, Lua's patterns or HTML. COMMAND would leave a file.
local COMMAND = "touch " .. folder .. "/ran"
local pieces = {
  '"', "'", "\\", "\\\\", "`", "$", "$$", "%", "%%", "%d", "%s", "#", ";", "&", "|", "<", ">", "(", ")", "{", "}", "*",
  "?", "??/", "??'", "??=", "???", "~", "!", "=", ":", ",", " ", "  ", "-", "--", "/", "//", "/*", "*/", ".", "..",
  "\t", "\n", "\r\n", "\\\n", "\0", "\a", "\27[31m", "\127", "\128", "\xc0\xaf", "\xff\xfe", "\xed\xa0\x80", "é",
  "\u{2028}", "\u{2029}", "\u{202e}", "\u{feff}", "😀",
  "$(" .. COMMAND .. ")", "$(shell " .. COMMAND .. ")", "`" .. COMMAND .. "`",
  "';" .. COMMAND .. ";'", '";' .. COMMAND .. ';"', "${HOME}", "$HOME", "$@", "$(MAKE)", "$(error no)", "%1", "%z",
  "{{data}}", "{{", "<script>", "</script>", "<!--", "-->", "]]>", "<img src=x onerror=alert(1)>", "&lt;", "&amp;",
  "&#39;", "\\x41", "\\012", "\\u003c", "*/ int x; /*", "// ", "#include <x>", "endif", "define", "n_layer=2", "--help",
  "0", "1e999", "nan", "x", "yz", "Q",
}
local function random_string()
  local parts = {}
  local length = math.random(100) == 1 and 200 or math.random(0, 7)
  for i = 1, length do
    parts[i] = math.random(8) == 1 and string.char(math.random(0, 255)) or pieces[math.random(#pieces)]
  end
  return table.concat(parts)
end

local function shown(s) return ("%q"):format(s):sub(1, 300) end

local function wrong(s, what, ...)
  error(("SEED=%d, the string %s: %s"):format(seed, shown(s), what:format(...)), 2)
end

local function ran_nothing(s)
  if files.read(folder .. "/ran") then
    os.remove(folder .. "/ran")
    wrong(s, "a command in it was run")
  end
end

-- Calls fn, which may refuse the string with one printable line. Returns what it returns, or nothing.
local refused = 0
local function accepted(s, fn, ...)
  local ok, result = pcall(fn, ...)
  if ok then return result end
  if type(result) ~= "table" or not result.code or result.message:find("[%c\127]") then
    wrong(s, "refused, but not with one line: %s", type(result) == "table" and shown(result.message) or result)
  end
  refused = refused + 1
end

-- ---- C: its tokens --------------------------------------------------------------------------------

local trigraphs = { ["="] = "#", ["/"] = "\\", ["'"] = "^", ["("] = "[", [")"] = "]", ["!"] = "|", ["<"] = "{",
  [">"] = "}", ["-"] = "~" }
local escapes = { n = "\n", t = "\t", r = "\r", a = "\a", b = "\b", f = "\f", v = "\v" }

-- The tokens of C text as the standard's first phases make them; a string's is { its value }.
local function tokens(c)
  c = c:gsub("%?%?([=/'()!<>-])", trigraphs):gsub("\\\n", "")
  local list, at = {}, 1
  while at <= #c do
    local blank = c:match("^%s+()", at)
    local comment = c:match("^//[^\n]*()", at) or c:match("^/%*.-%*/()", at)
    local quote = c:match("^[\"']", at)
    if blank or comment then
      at = blank or comment
    elseif quote then
      local value = {}
      at = at + 1
      while c:sub(at, at) ~= quote do
        local plain, other = c:match("^[^\\\n]", at), c:match("^\\(.)", at)
        local octal = c:match("^\\([0-7][0-7]?[0-7]?)", at)
        if not (plain or other) then error("a string of C does not end") end
        value[#value + 1] = plain or octal and string.char(tonumber(octal, 8)) or escapes[other] or other
        at = at + (plain and 1 or 1 + #(octal or other))
      end
      at = at + 1
      list[#list + 1] = { table.concat(value) }
    else
      local token = c:match("^[%w_.]+", at) or c:sub(at, at)
      list[#list + 1] = token
      at = at + #token
    end
  end
  return list
end

local keys = { "out_dir", "data_dir", "init_from" }

local function defaults(c, assignment)
  c.baked_text = c.baked_text or hash.baked_text(c)
  return run_keys.defaults(c, c.name .. (assignment and "-" .. assignment:gsub("/", "_") or ""))
end

local BASE = folder .. "/base.lua"
files.write(BASE, "return { vocab_size = 65 }\n")

local function load_config(assignment)
  return config.load({ BASE }, { assignment }, { warn = function() end })
end

-- A config file that states the string, instead of an assignment.
local function load_file(key, value)
  files.write(folder .. "/stated.lua", ("return { %s = %q }\n"):format(key, value))
  return config.load({ BASE, folder .. "/stated.lua" }, {}, { warn = function() end })
end

check.test("C: a config's strings", function()
  local plain = tokens(defaults(config.load({ BASE }, {})))
  for i = 1, count do
    local s, key = random_string(), keys[i % #keys + 1]
    local assignment = key .. "=" .. s
    local stated = i % 5 == 0
    local c = stated and accepted(s, load_file, key, s) or not stated and accepted(s, load_config, assignment)
    if c then
      if c[key] ~= s then wrong(s, "%s is %s", key, shown(c[key])) end
      local made = tokens(defaults(c, not stated and assignment or nil))
      if #made ~= #plain then wrong(s, "defaults.c has %d tokens, not %d", #made, #plain) end
      local found = 0
      for k = 1, #plain do
        local own = type(made[k]) == "table" and made[k][1]
        if own and own == s and made[k - 1] == "=" and made[k - 2] == "." .. key then found = found + 1
        elseif own and type(plain[k]) == "table" then
          local name = not stated and c.name .. "-" .. assignment:gsub("/", "_")
          if own ~= plain[k][1] and own ~= name then wrong(s, "a string of defaults.c is %s", shown(own)) end
        elseif made[k] ~= plain[k] then
          wrong(s, "a token of defaults.c is %s, not %s", shown(tostring(made[k])), shown(tostring(plain[k])))
        end
      end
      if found ~= 1 then wrong(s, "it stands %d times in defaults.c", found) end
    end
  end
end)

check.test("C: a name's strings", function()
  -- A key that means nothing here takes any value, and stands in the build's name.
  for _ = 1, count // 10 do
    local s = random_string()
    local c = accepted(s, load_config, "device=" .. s)
    if c and ("device=" .. s):find("[%c\127]") then wrong(s, "it has control characters, and enters names") end
  end
end)

-- The literals as two compilers' modes read them.
check.test("C: literals", function()
  local strings, lines = {}, { "#include <stdio.h>", "static const struct { const char *s; unsigned n; } all[] = {" }
  for i = 1, count do
    strings[i] = random_string()
    local made = literal.string(strings[i])
    lines[#lines + 1] = ("{%s, sizeof %s - 1},"):format(made, made)
  end
  lines[#lines + 1] = "};\nint main(void) { for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {"
  lines[#lines + 1] = "fwrite(&all[i].n, 4, 1, stdout); fwrite(all[i].s, 1, all[i].n, stdout); } return 0; }\n"
  files.write(folder .. "/literals.c", table.concat(lines, "\n"))
  for _, mode in ipairs { "c11", "gnu11" } do
    local line = "cd %s && gcc -std=%s -w -O0 -o literals literals.c && ./literals >printed"
    assert(os.execute(line:format(folder, mode)))
    local printed, at = files.read(folder .. "/printed"), 1
    for _, s in ipairs(strings) do
      local got
      got, at = ("<s4"):unpack(printed, at)
      if got ~= s then wrong(s, "-std=%s reads it as %s", mode, shown(got)) end
    end
  end
end)

-- ---- the shell and make ---------------------------------------------------------------------------

-- What a program printed with a zero behind each word.
local function printed_words(path)
  local list = {}
  for word in (files.read(path) or ""):gmatch("([^\0]*)\0") do list[#list + 1] = word end
  return list
end

check.test("the shell: words", function()
  local strings, lines = {}, {}
  for i = 1, count do
    strings[i] = random_string():gsub("%z", "")
    lines[i] = "printf '%s\\0' " .. files.quoted(strings[i])
  end
  files.write(folder .. "/words.sh", table.concat(lines, "\n") .. "\n")
  assert(os.execute(("sh %s/words.sh >%s/printed"):format(folder, folder)))
  local got = printed_words(folder .. "/printed")
  for i, s in ipairs(strings) do
    if got[i] ~= s then wrong(s, "the shell's word is %s", shown(tostring(got[i]))) end
  end
  ran_nothing("")
end)

-- A project in which the scripts that make calls write down their words.
local function stub_project()
  local root = folder .. "/project"
  for _, name in ipairs { "gen/sweep", "gen/tools", "configs", "data", "runtime", "build", "bin/cpu" } do
    assert(os.execute(("mkdir -p %s/%s"):format(root, name)))
  end
  assert(os.execute(("cp Makefile %s && cp runtime/*.mk %s/runtime"):format(root, root)))
  local function script(path, body)
    files.write(root .. "/" .. path, "#!/bin/sh\n" .. body)
    assert(os.execute(("chmod +x %s/%s"):format(root, path)))
  end
  local print_words = "printf '%s\\0' \"$@\" >>" .. folder .. "/printed\n"
  script("gen/sweep/step.sh", print_words)
  script("gen/sweep/build.sh", ": >\"$1.ok\"\n")
  script("gen/tools/setup.sh", "exit 0\n")
  script("data/prepare.sh", "exit 0\n")
  -- In place of the generator and of a trainer, which says first that it is one: no word that is typed has a blank.
  script("generate.sh", "case $1 in --print) exit 0 ;; esac\n" .. print_words)
  script("bin/cpu/train", "printf '%s\\0' 'the trainer:' >>" .. folder .. "/printed\n" .. print_words)
  files.write(root .. "/configs/shakespeare_char_cpu.lua", "return {}\n")
  files.write(root .. "/build/prepare", "")
  return root
end

-- The file that make reads to train a sweep: flags of runs, and the paths that a sweep's file states.
check.test("make: a sweep's strings", function()
  local root = stub_project()
  local strings, runs = {}, {}
  while #runs < count do
    local s = random_string()
    local c = accepted(s, load_config, "data_dir=" .. s)
    if c then
      local i = #runs + 1
      strings[i] = s
      runs[i] = { index = i, name = "exp" .. i, config = c, folder = folder .. "/none" }
    end
  end
  local from = 1
  while from <= #runs do
    local some = table.move(runs, from, math.min(from + 499, #runs), 1, {})
    local shape = { index = 1, name = "shape", words = {}, folder = "build/x", runs = some }
    for _, run in ipairs(some) do run.shape = shape end
    local p = { folder = root, shapes = { shape }, runs = some, backend = "cpu",
      sweep = { name = "random", base_path = "configs/x.lua", states = {}, base_stated = {} } }
    assert(os.execute(("mkdir -p %s/builds"):format(root)))
    files.write(root .. "/sweep.mk", recipes.sweep_mk(p, 1, 1))
    os.remove(folder .. "/printed")
    local ok = os.execute(("cd %s && make -j1 -f sweep.mk all >%s/log 2>&1"):format(root, folder))
    if not ok then wrong(strings[from], "or one of the 499 behind it: make fails: %s", files.read(folder .. "/log")) end
    local got = 0
    for _, word in ipairs(printed_words(folder .. "/printed")) do
      if word:find("^%-%-data_dir=") then
        if word ~= "--data_dir=" .. strings[from + got] then
          wrong(strings[from + got], "the trainer's flag is %s", shown(word))
        end
        got = got + 1
      end
    end
    check.equal(got, #some, "runs")
    from = from + #some
  end
  ran_nothing("")
end)

check.test("a sweep's file", function()
  -- Values and names: what is accepted means nothing to make and the shell.
  for i = 1, count // 10 do
    local s = random_string()
    local format = 'return { base = %q, grid = { { "data_dir", { %q } } }, set = { dataset = %q } }\n'
    files.write(folder .. "/sweep.lua", format:format(BASE, s, i % 2 == 0 and s or "x"))
    local sweep = accepted(s, file.read, folder .. "/sweep.lua")
    if sweep and (sweep.factors[1].values[1] ~= s or not s:find("^[%w_.+/-]+$")) then wrong(s, "it is accepted") end
  end
end)

-- SET, RUN and NAME as they are typed behind make: a list of words each, as make parts them.
check.test("make: SET, RUN, NAME", function()
  local root = stub_project()
  local flags = "GEN=./generate.sh make=: bin=bin/cpu build_name=x"
  for i = 1, count // 5 do
    local s = random_string():gsub("%z", "")
    local word = ({ "SET", "RUN", "NAME" })[i % 3 + 1]
    local typed = ({ SET = "data_dir=" .. s, RUN = "--data_dir=" .. s, NAME = s })[word]
    os.remove(folder .. "/printed")
    local line = "cd %s && make -o build/prepare train %s %s=%s >../log 2>../errors </dev/null"
    local ok = os.execute(line:format(root, flags, word, files.quoted(typed)))
    ran_nothing(s)
    local errors = files.read(folder .. "/errors")
    if ok then
      local wanted, got, behind = {}, {}, false
      for w in typed:gmatch("[^ \t\n\r\v\f]+") do wanted[#wanted + 1] = w end
      for _, w in ipairs(printed_words(folder .. "/printed")) do
        if w == "the trainer:" then behind = true
        elseif word == "SET" and not behind and w:find("=", 1, true) then got[#got + 1] = w
        elseif word == "RUN" and behind and not w:find("^%-%-out_dir=") then got[#got + 1] = w
        elseif word == "NAME" and behind and w:find("^%-%-out_dir=") then got[#got + 1] = w:sub(11)
        end
      end
      if word == "NAME" and wanted[1] then wanted[1] = "out/" .. wanted[1] end
      if word ~= "NAME" or wanted[1] then
        local what = ("SEED=%d, %s=%s"):format(seed, word, shown(typed))
        check.equal(table.concat(got, "\0"), table.concat(wanted, "\0"), what)
      end
    else
      refused = refused + 1
      -- Behind the line make says which target it was.
      local own = errors:gsub("make: %*%*%* %[[^\n]*%] Error %d+\n", "")
      local _, lines = own:gsub("\n", "")
      if lines ~= 1 then wrong(typed, "%s is refused with %d lines: %s", word, lines, errors) end
    end
  end
end)

-- ---- HTML -----------------------------------------------------------------------------------------

local entities = { amp = "&", lt = "<", gt = ">", quot = '"', ["#39"] = "'" }
local function unescaped(s)
  return (s:gsub("&([#%w]+);", entities))
end

-- The page's tokens: tags as they stand, texts in angle brackets' stead as { text }, the JSON of scripts decoded.
local function html_tokens(html)
  local list, at = {}, 1
  while at <= #html do
    local name = html:match("^<(%a%w*)[%s>]", at)
    local stop = html:match("^<[^>]*>()", at)
    if stop then
      list[#list + 1] = html:sub(at, stop - 1)
      at = stop
      if name == "script" or name == "style" then
        local last = html:find("</" .. name, at, true)
        local inside = html:sub(at, last - 1)
        if inside:find("<!--", 1, true) then error("a comment begins in a " .. name) end
        local data = list[#list]:find("application/json", 1, true)
        list[#list + 1] = { data and json.decode(inside) or "script" }
        at = last
      end
    else
      local last = html:find("<", at, true) or #html + 1
      list[#list + 1] = { unescaped(html:sub(at, last - 1)) }
      at = last
    end
  end
  return list
end

-- Whether all that stands around the placeholders in `a` is in `b` too, in that order.
local function same_around(a, b, place)
  local at, from = 1, 1
  if not a:find("qz%d+z") then
    if a ~= b then error(("%s: %s has become %s"):format(place, shown(a), shown(b)), 0) end
    return
  end
  repeat
    local first, last = a:find("qz%d+z", from)
    local kept = a:sub(from, (first or #a + 1) - 1)
    local _, stop = b:find(kept, at, true)
    if not stop then error(("%s: %s has become %s"):format(place, shown(a), shown(b)), 0) end
    at, from = stop + 1, (last or #a) + 1
  until not first
end

-- The same of decoded JSON: a with placeholders, b with the strings.
local function same_json(a, b, place)
  if type(a) == "table" and type(b) == "table" then
    for k, v in pairs(a) do same_json(v, b[k], place .. "." .. tostring(k)) end
    for k in pairs(b) do
      if a[k] == nil then error(("%s: has %s, which is new"):format(place, shown(tostring(k))), 0) end
    end
  elseif type(a) == "string" and type(b) == "string" then
    same_around(a, b, place)
  elseif a ~= b then
    error(("%s: %s has become %s"):format(place, tostring(a), tostring(b)), 0)
  end
end

-- Tags one for one; texts and data around the placeholders.
local function same_pages(a, b)
  local i, k = 1, 1
  while i <= #a or k <= #b do
    local old, new = "", ""
    while type(a[i]) == "table" and type(a[i][1]) == "string" do old, i = old .. a[i][1], i + 1 end
    while type(b[k]) == "table" and type(b[k][1]) == "string" do new, k = new .. b[k][1], k + 1 end
    same_around(old, new, "text")
    if type(a[i]) == "table" and type(b[k]) == "table" then
      same_json(a[i][1], b[k][1], "data")
    elseif a[i] ~= b[k] then
      error(("a tag is %s, not %s"):format(tostring(b[k]), tostring(a[i])), 0)
    end
    i, k = i + 1, k + 1
  end
end

-- A page of runs whose every string is given by `string(n)`; also returns how many it has asked for.
local RUNS = 12
local function make_page(root, string_of)
  local asked = 0
  local function next_string(most)
    asked = asked + 1
    return string_of(asked, most or 60)
  end
  local folders, report = {}, { samples = {}, attention = {}, builds = {}, notes = {}, prompts = {} }
  for i = 1, RUNS do
    local name = root .. "/run" .. i
    fixture.run(root, "run" .. i, { name = "run" .. i, max_iters = 200, every = 50,
      settings = { n_head = i % 2 == 0 and 4 or 8 } })
    local info = json.decode(files.read(name .. "/run.json"))
    info.name, info.config_name, info.title = next_string(), next_string(), next_string()
    if i == 1 then -- all runs' are in one line, which is cut where it is long
      info.hardware = next_string(15):gsub(",", ";") .. ", x" -- it ends where a comma is
      info.dataset, info.tokenizer = next_string(15), next_string(15)
    end
    info.words = next_string()
    info.run.init_from, info.run.data_dir, info.config.isa = next_string(), next_string(), next_string()
    files.write(name .. "/run.json", json.encode(info))
    folders[i] = name
    report.samples[i] = { final = next_string(), best = next_string() }
    report.prompts[i] = next_string()
    report.notes[i] = next_string()
  end
  local p = plan.of_folders(folders)
  p.title = next_string()
  for _, r in ipairs(p.runs) do
    r.overfitting = words.overfitting(r)
    r.notes[#r.notes + 1] = next_string()
  end
  report.plan, report.order, report.trainings = p, words.rank(p), effects.trainings(p)
  report.effects, report.effects_tested = effects.of(p)
  report.seeds, report.best_tested, report.baseline_tested = effects.over_seeds(p)
  report.seed, report.characters = 1, 10
  return page.text(report), asked
end

check.test("HTML: a report's strings", function()
  local plain, each = make_page(folder .. "/plain", function(n) return ("qz%dz"):format(n) end)
  local wanted = html_tokens(plain:gsub(folder .. "/plain", "ROOT"))
  local made = 0
  while made < count do
    local html = make_page(folder .. "/random", function(n, most)
      return random_string():sub(1, most) .. n -- each another, and not cut, as the placeholders are
    end)
    made = made + each
    if not utf8.len(html) then error(("SEED=%d: the page is not UTF-8"):format(seed)) end
    local ok, got = pcall(html_tokens, (html:gsub(folder .. "/random", "ROOT")))
    if ok then ok, got = pcall(same_pages, wanted, got) end
    if not ok then error(("SEED=%d: %s"):format(seed, got), 0) end
  end
end)

print(("strings: %d for each of five, %d of them refused with one line"):format(count, refused))
print(("%d passed, %d failed, %d skipped"):format(check.passed, check.failed, check.skipped))
os.exit(check.failed == 0)
