-- prose: the page's sentences as HTML: the summary, notes, hints, samples.
local effects = require("gen.report.effects")
local summary = require("gen.report.summary")
local text = require("gen.report.text")
local words = require("gen.report.words")

local prose = {}

function prose.summary(report)
  local out = {}
  for i, line in ipairs(summary.of(report.plan, report.order, report.seeds, report.best_tested)) do
    out[i] = "<p>" .. text.html(line) .. "</p>"
  end
  return table.concat(out, "\n")
end

-- The notes on each run: overfitting, and what is missing.
function prose.notes(report)
  local lines = {}
  for _, note in ipairs(report.notes) do lines[#lines + 1] = "<li>" .. text.html(note) .. "</li>" end
  for i, r in ipairs(report.plan.runs) do
    local said = table.move(r.notes, 1, #r.notes, 1, {})
    if r.overfitting.kind ~= "unknown" then table.insert(said, 1, r.overfitting.text) end
    if #said > 0 then
      lines[#lines + 1] = ('<li data-of="%d"><b>%s</b>: %s.</li>'):format(i - 1, text.html(r.name),
        text.html(table.concat(said, "; ")))
    end
  end
  if #lines == 0 then return "<p>Nothing is missing.</p>" end
  return '<ul class="notes">\n' .. table.concat(lines, "\n") .. "\n</ul>"
end

local function sample_card(report, i, label)
  local r, s = report.plan.runs[i], report.samples[i]
  local facts = {}
  if r.best then
    facts[#facts + 1] = ("best val %s at iteration %s"):format(words.loss(r.best.val), words.count(r.best.iter))
  end
  if r.final and r.final.val then
    facts[#facts + 1] = ("final val %s at iteration %s"):format(words.loss(r.final.val), words.count(r.final.iter))
  end
  local params = r.num_params_nanogpt or r.num_params
  if params then facts[#facts + 1] = words.count(params) .. " parameters" end
  local out = { ('<article class="sample" data-of="%d"><h3>%s%s</h3><div class="soft">%s</div>' ..
    '<div class="texts">'):format(i - 1, label and label .. ": " or "", text.html(r.name),
    text.html(table.concat(facts, " · "))) }
  -- An evaluation at iteration i is of the weights after i steps; a run's last step comes after its last evaluation.
  for _, kind in ipairs({
    { "final", r.finished and ("final weights, after %s steps"):format(words.count(r.last_step + 1)) or
      "last saved weights" },
    { "best", r.best and ("best checkpoint, after %s steps"):format(words.count(r.best.iter)) or "best checkpoint" },
  }) do
    local body = s[kind[1]]
    if body then
      out[#out + 1] = ("<div><h4>%s</h4><pre><i>%s</i>%s</pre></div>"):format(kind[2], text.html(report.prompts[i]),
        text.html(body))
    end
  end
  out[#out + 1] = "</div></article>"
  return table.concat(out)
end

-- Best and worst first, next to each other, then the others from the best on, then those without a loss.
function prose.samples(report)
  local order, seen, cards = {}, {}, {}
  for _, i in ipairs(report.order) do
    if report.samples[i].final or report.samples[i].best then order[#order + 1] = i end
  end
  local function add(i, label)
    if not seen[i] and (report.samples[i].final or report.samples[i].best) then
      seen[i] = true
      cards[#cards + 1] = sample_card(report, i, label)
    end
  end
  if #order > 1 then
    add(order[1], "Best")
    add(order[#order], "Worst")
  end
  local first = #cards
  for _, i in ipairs(order) do add(i) end
  for i in ipairs(report.plan.runs) do add(i) end
  if #cards == 0 then return "" end -- and the page leaves the section out
  local function grid(from, to)
    return '<div class="samples">\n' .. table.concat(cards, "\n", from, to) .. "\n</div>"
  end
  if first == 0 or #cards == first then return grid(1, #cards) end
  return grid(1, first) .. ('\n<details id="samples-more" open><summary>The others, from the best on</summary>' ..
    "\n%s\n</details>"):format(grid(first + 1, #cards))
end

function prose.sample_hint(report)
  local prompt = "The same prompt"
  for _, other in ipairs(report.prompts) do
    if other ~= report.prompts[1] then prompt = "Each run begins with its own validation text; the same" end
  end
  return prompt .. (", seed %d and settings for all: temperature 1, no top-k, up to %d characters; of the " ..
    "final weights, and next to it of the best checkpoint."):format(report.seed, report.characters)
end

local EFFECTS = {
  grid = "At each value of a factor the mean of the best validation loss over all settings of the others; the " ..
    "bar is ±1 sd over them, grey dots are runs. Δ is the mean difference of runs alike in all else, from the value " ..
    "marked *.",
  vary = "One change at a time around the baseline, marked *: the best validation loss at each value of a factor, " ..
    "others as in the baseline.",
  runs = "The best validation loss at each value of a setting in which the runs differ, for runs that differ from " ..
    "the baseline, marked *, in nothing else.",
}

-- The runs that no effect counts, with why; and for each factor those that have no partner.
local function left_out(report)
  local missing, sentences = {}, {}
  for _, r in ipairs(report.plan.runs) do
    if not effects.counts(r) then missing[#missing + 1] = ("%s (%s)"):format(r.name, r.status) end
  end
  if #missing > 0 then sentences[1] = ("Not counted: %s."):format(words.listed(missing, 8)) end
  local factors = {}
  for _, e in ipairs(report.effects) do
    local names = {}
    for i, r in ipairs(e.alone) do names[i] = r.name end
    if #names > 0 then factors[#factors + 1] = ("%s %s"):format(e.key, words.listed(names, 4)) end
  end
  if #factors > 0 then
    sentences[#sentences + 1] = ("Left out, as their partners are missing: for %s."):format(
      table.concat(factors, "; for "))
  end
  return sentences
end

local NOT_TESTED = "No difference is tested: an interval over seeds takes three that both sides have."

-- How many runs are the first part of a longer one.
local function twins(report)
  local count, lengths = 0, false
  for _ in pairs(report.trainings) do count = count + 1 end
  for _, f in ipairs(report.plan.factors) do lengths = lengths or f.key == "max_iters" end
  if count == 0 then return {} end
  local said = count == 1 and "1 run is the first part of a longer one: it is" or
    ("%d runs are the first part of a longer one: they are"):format(count)
  return { said .. " no trainings of their own and counted once" .. (lengths and
    ", and a larger max_iters cannot be worse." or ".") }
end

function prose.effects_hint(report)
  local p = report.plan
  local lines = { EFFECTS[p.kind] }
  if #p.seeds < 2 then
    lines[2] = "With one seed, a difference may be due to the seed: what is said is in how many settings it has " ..
      "the same sign. Several seeds would tell."
  elseif report.effects_tested > 0 then
    lines[2] = ("The interval of Δ and whether it is distinct from 0 are over seeds (%s)."):format(
      words.test(report.effects_tested))
  else
    lines[2] = NOT_TESTED
  end
  for _, part in ipairs({ twins(report), left_out(report) }) do table.move(part, 1, #part, #lines + 1, lines) end
  return text.html(table.concat(lines, " "))
end

function prose.seeds_hint(report)
  if not report.seeds then return "" end
  if report.best_tested + report.baseline_tested == 0 then return text.html(NOT_TESTED) end
  return text.html(("Two settings are distinct if their difference over seeds is distinct from 0: from the best, " ..
    "%s; from the baseline, %s."):format(words.test(report.best_tested), words.test(report.baseline_tested)))
end

-- What the page is about, after its name.
function prose.kind(report)
  local p = report.plan
  if not p.sweep and #p.runs == 1 then return "one run" end
  return ("%s%s, %d run%s"):format(p.sweep and "sweep" or "runs", p.base and " of " .. p.base or "", #p.runs,
    #p.runs == 1 and "" or "s")
end

function prose.footer(report)
  local p = report.plan
  local from = p.sweep and "out/sweeps/" .. p.name or #p.runs == 1 and "the run " .. p.runs[1].name or
    #p.runs .. " run folders"
  return ("Made by gen/report.lua from %s. Charts: Chart.js, MIT licence. A loss is the mean of −ln of the " ..
    "probability that the model gave the right token (nats a token)."):format(text.html(from))
end

return prose
