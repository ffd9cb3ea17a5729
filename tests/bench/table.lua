-- table: writes Markdown tables of bench's results, from tests/bench/results/*.json, into each page that
-- has a place for one. Of each config, machine and isa the newest result counts.
--
--   lua5.4 tests/bench/table.lua [--results=FOLDER] [PAGE.md ...]
--
-- Without a page the first table goes to stdout. A page has the place for it between these two lines,
--     <!-- bench-table -->
--     <!-- end of bench-table -->
-- and may have one for the list of slow kernels:
--     <!-- slow-kernels -->
--     <!-- end of slow-kernels -->
package.path = "./?.lua;" .. package.path
local results = require("tests.bench.results")

local OPEN, CLOSE = "<!-- bench-table -->\n", "<!-- end of bench-table -->"
local SLOW, END_OF_SLOW = "<!-- slow-kernels -->\n", "<!-- end of slow-kernels -->"
local SLOW_BELOW = 0.8 -- of a kernel's roofline
local MIB = 1 << 20

-- ---- the results ---------------------------------------------------------------------------------

local function key_of(figures)
  return table.concat({ figures.machine, figures.cores, figures.threads, figures.name, figures.isa }, "\n")
end

-- The newest of each key, in order of machine, isa and size.
local function chosen(folder)
  local newest, list = {}, {}
  for _, path in ipairs(results.list(folder)) do
    local figures = results.read(path)
    if figures then
      local key = key_of(figures)
      if not newest[key] or newest[key].date < figures.date then newest[key] = figures end
    end
  end
  for _, figures in pairs(newest) do list[#list + 1] = figures end
  table.sort(list, function(a, b)
    for _, field in ipairs { "machine", "cores", "threads", "compiler", "isa", "flop_per_step", "name" } do
      if a[field] ~= b[field] then return a[field] < b[field] end
    end
    return false
  end)
  return list
end

-- ---- the table -----------------------------------------------------------------------------------

-- A dash if PyTorch was not measured.

local function ms(value)
  return value and (value < 100 and "%.1f" or "%.0f"):format(value) or "–"
end

local function percent(share)
  return share and ("%.0f%%"):format(100 * share) or "–"
end

local function times(ratio)
  return ratio and ("%.2f×"):format(ratio) or "–"
end

local function mib(bytes)
  return bytes and ("%.0f"):format(bytes / MIB) or "–"
end

local columns = {
  { "config", function(f) return (f.name:gsub("%-isa=[^-]*", "", 1)) end },
  { "isa", function(f) return f.isa end },
  { "ms (p10–p90)", function(f) return ("%s (%s–%s)"):format(ms(f.ms_median), ms(f.ms_p10), ms(f.ms_p90)) end },
  { "share of peak", function(f) return ("%.0f%%"):format(100 * f.share_of_peak) end },
  { "of the peak held", function(f) return percent(f.share_of_held) end },
  { "GFLOP/s", function(f) return ("%.0f"):format(f.gflops) end },
  { "measured peak (held)", function(f)
    return ("%.0f (%s)"):format(f.peak_gflops, f.held_gflops and ("%.0f"):format(f.held_gflops) or "–")
  end },
  { "share of floor", function(f) return ("%.0f%%"):format(100 * f.floor_ms / f.ms_median) end },
  { "sizes not baked in takes", function(f) return times(type(f.generic) == "table" and f.generic.ratio) end },
  { "in turns: ours, ms", function(f) return ms(f.ms_in_turns) end },
  { "PyTorch as installed, ms", function(f) return ms(f.torch_ms_installed) end },
  { "PyTorch at its best, ms", function(f) return ms(f.torch_ms_best) end },
  { "ours against the best", function(f) return times(f.ratio_best) end },
  { "ours against the best in float32", function(f) return times(f.ratio_float32 or f.ratio_best) end },
  { "ours against PyTorch held to AVX2", function(f) return times(f.ratio_held) end },
  { "MiB: ours, plan, PyTorch", function(f)
    return ("%s, %s, %s"):format(mib(f.peak_rss_bytes), mib(f.plan_bytes), mib(f.torch_rss_bytes))
  end },
}

local function row(cells)
  return "| " .. table.concat(cells, " | ") .. " |\n"
end

-- Groups of neighbours in the list with the same machine and compiler.
local function groups_of(list)
  local groups = {}
  for _, f in ipairs(list) do
    local title = ("%s, %d cores, %d threads; %s"):format(f.machine, f.cores, f.threads, f.compiler)
    local group = groups[#groups]
    if not group or group.title ~= title then
      group = { title = title, first = f.date, last = f.date }
      groups[#groups + 1] = group
    end
    group.torch = group.torch or f.torch
    if f.date < group.first then group.first = f.date end
    if f.date > group.last then group.last = f.date end
    group[#group + 1] = f
  end
  return groups
end

-- A table for each group, with a line above it that names the group.
local function tables(list)
  local text, names, rules = {}, {}, {}
  for i, column in ipairs(columns) do names[i], rules[i] = column[1], "---" end
  for i, group in ipairs(groups_of(list)) do
    local first, last = group.first:sub(1, 10), group.last:sub(1, 10)
    text[#text + 1] = ("%s%s%s; %s:\n\n"):format(i > 1 and "\n" or "", group.title,
      group.torch and "; PyTorch " .. group.torch or "", first == last and first or first .. " to " .. last)
    text[#text + 1] = row(names) .. row(rules)
    for _, figures in ipairs(group) do
      local cells = {}
      for j, column in ipairs(columns) do cells[j] = column[2](figures) end
      text[#text + 1] = row(cells)
    end
  end
  return table.concat(text)
end

-- ---- slow kernels --------------------------------------------------------------------------------

-- "attention_12x64x4x32 53% (2.0%)": shares of its roofline and of all kernels' time; the slowest first. A kernel with
-- neither operations nor bytes has no roofline.
local function slow_kernels(f)
  local words, total = {}, 0
  for _, kernel in ipairs(f.kernels) do total = total + kernel.ms end
  for _, kernel in ipairs(f.kernels) do
    if kernel.ms > 0 and kernel.roofline > 0 and kernel.roofline < SLOW_BELOW then
      words[#words + 1] = ("%s %.0f%% (%.1f%%)"):format(kernel.name, 100 * kernel.roofline, 100 * kernel.ms / total)
    end
  end
  return #words > 0 and table.concat(words, ", ") or "none"
end

local function slow(list)
  local text = { row({ "config", "isa", "kernel, of its roofline (of the step)" }), row({ "---", "---", "---" }) }
  for _, f in ipairs(list) do
    text[#text + 1] = row({ columns[1][2](f), f.isa, slow_kernels(f) })
  end
  return table.concat(text)
end

-- ---- pages ---------------------------------------------------------------------------------------

-- The page with the text put between two lines, or nil if it does not have them.
local function between(page, open, close, text)
  local _, from = page:find(open, 1, true)
  local to = from and page:find(close, from, true)
  return to and page:sub(1, from) .. text .. page:sub(to)
end

local function insert(path, list)
  local page = results.read_text(path)
  local with = between(page, OPEN, CLOSE, tables(list))
  if not with then
    results.fail(65, "%s: has no place for the table; wanted the lines '%s' and '%s'", path, OPEN:sub(1, -2), CLOSE)
  end
  results.write_text(path, between(with, SLOW, END_OF_SLOW, slow(list)) or with)
  print("written: " .. path)
end

results.main(function()
  local folder, pages = "tests/bench/results", {}
  for _, word in ipairs(arg) do
    local value = word:match("^%-%-results=(.+)$")
    if value then
      folder = value
    elseif word:find("^%-") then
      results.fail(64, "table: '%s' is not known; wanted [--results=FOLDER] [PAGE.md ...]", word)
    else
      pages[#pages + 1] = word
    end
  end
  local list = chosen(folder)
  if #list == 0 then results.fail(66, "%s: no results; keep one with make bench CONFIG=x RECORD=1", folder) end
  if #pages == 0 then io.write(tables(list)) end
  for _, page in ipairs(pages) do insert(page, list) end
end)
