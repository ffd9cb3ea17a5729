-- page: the report as one HTML file: the sentences, the figures as JSON, the scripts and styles of templates/report
-- and the charting library inlined. Nothing in it is loaded from anywhere.
local figures = require("gen.report.figures")
local files = require("gen.base.files")
local library = require("gen.report.library")
local prose = require("gen.report.prose")
local text = require("gen.report.text")

local page = {}

local FOLDER = "templates/report/"
local STYLES = { "colours", "layout", "tables", "samples", "attention", "print" }
-- In this order: each script uses only those before it.
local SCRIPTS = { "data", "theme", "selection", "progress", "svg", "paper", "charts", "plugins", "table", "runs",
  "brush", "blocks", "curves", "fit", "reach", "compare", "factors", "effects", "interaction", "losses", "statements",
  "heat", "maps", "attention", "machines", "speed", "memory", "page", "live" }

local RELOAD = '<label><input type="checkbox" id="reload" checked> loads itself again every ' ..
  '<span id="refresh"></span> s</label>'

local function part(name)
  return files.read(FOLDER .. name) or
    error({ code = 66, message = FOLDER .. name .. ": is missing; make the report in the project's folder" })
end

local function joined(names, extension)
  local texts = {}
  for i, name in ipairs(names) do texts[i] = part(name .. extension) end
  return table.concat(texts, "\n")
end

-- The page's text. report: { plan, order, trainings, effects, effects_tested, seeds, best_tested, baseline_tested,
-- builds, samples, attention, prompts, notes, live, seed, characters }; samples, attention and prompts have an item for
-- each run, order has the runs' indexes from the best run on.
function page.text(report)
  local p = report.plan
  local name = text.html(p.title or p.name)
  local values = {
    title = name .. " · Diecast",
    heading = ("%s <small>%s</small>"):format(name, text.html(prose.kind(report))),
    reload = report.live and RELOAD or "",
    summary = prose.summary(report),
    effects = prose.effects_hint(report),
    seeds = prose.seeds_hint(report),
    samplehint = prose.sample_hint(report),
    samples = prose.samples(report),
    notes = prose.notes(report),
    footer = prose.footer(report),
    style = joined(STYLES, ".css"),
    data = figures.data(report),
    attention = figures.attention(report),
    library = library.text(),
    script = "(() => {\n'use strict';\n" .. joined(SCRIPTS, ".js") .. "\n})();",
  }
  return (part("page.html"):gsub("{{(%w+)}}", function(key)
    return values[key] or error({ code = 70, message = FOLDER .. "page.html: {{" .. key .. "}} is not known" })
  end))
end

return page
