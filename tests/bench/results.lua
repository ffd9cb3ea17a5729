-- results: reads and checks bench's results, and has the few functions that table.lua, record.lua and
-- scale.lua share. Errors are { code, message }, one line each.
local json = require("dkjson")

local results = {}

-- The fields that a result of bench must have, and their types.
local fields = {
  name = "string", config = "string", machine = "string", compiler = "string", isa = "string",
  date = "string", cores = "number", threads = "number", steps = "number", ms_median = "number",
  ms_p10 = "number", ms_p90 = "number", flop_per_step = "number", gflops = "number",
  peak_gflops = "number", share_of_peak = "number", floor_ms = "number", peak_rss_bytes = "number",
  plan_bytes = "number", kernels = "table",
}

function results.fail(code, format, ...)
  error({ code = code, message = format:format(...) }, 0)
end

-- Runs main; an error ends the program with its line and its code.
function results.main(main)
  local ok, problem = xpcall(main, function(e) return type(e) == "table" and e or debug.traceback(e, 2) end)
  if ok then return end
  io.stderr:write(type(problem) == "table" and problem.message or problem, "\n")
  os.exit(type(problem) == "table" and problem.code or 70)
end

function results.read_text(path)
  local file, problem = io.open(path, "rb")
  if not file then results.fail(66, "%s", problem) end
  local text = file:read("a")
  file:close()
  return text
end

function results.write_text(path, text)
  local file = io.open(path .. ".part", "wb")
  local written = file and file:write(text)
  if not (file and file:close() and written and os.rename(path .. ".part", path)) then
    os.remove(path .. ".part")
    results.fail(74, "%s: cannot be written; free the folder's rights, or space on the disk", path)
  end
end

-- A JSON object of any kind.
function results.read_object(path)
  local object, _, problem = json.decode(results.read_text(path), 1, nil)
  if type(object) ~= "table" then
    results.fail(65, "%s: is not a JSON object (%s); measure again, or remove it", path, problem or type(object))
  end
  return object
end

-- bench's figures, or nil if the file is another program's.
function results.read(path)
  local object = results.read_object(path)
  if object.program ~= "bench" then return nil end
  for field, kind in pairs(fields) do
    if type(object[field]) ~= kind then
      results.fail(65, "%s: %s: %s, wanted a %s; measure again, or remove it", path, field,
        object[field] == nil and "is missing" or "is a " .. type(object[field]), kind)
    end
  end
  for i, kernel in ipairs(object.kernels) do
    local whole = type(kernel) == "table" and type(kernel.name) == "string" and type(kernel.ms) == "number"
      and type(kernel.roofline) == "number"
    if not whole then
      results.fail(65, "%s: kernels[%d]: wanted name, ms and roofline; measure again, or remove it", path, i)
    end
  end
  return object
end

-- A text as a part of a file's name.
function results.slug(text)
  return (text:lower():gsub("%b()", ""):gsub("[^%w]+", "-"):gsub("^%-+", ""):gsub("%-+$", ""))
end

-- A machine as a part of a file's name.
function results.machine_slug(figures)
  return ("%s-%d-cores"):format(results.slug(figures.machine), figures.cores)
end

function results.quoted(word)
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

-- The paths in a folder that end in .json, sorted.
function results.list(folder)
  local paths = {}
  local pipe = assert(io.popen("ls -d " .. results.quoted(folder) .. "/*.json 2>/dev/null"))
  for path in pipe:lines() do paths[#paths + 1] = path end
  pipe:close()
  table.sort(paths)
  return paths
end

return results
