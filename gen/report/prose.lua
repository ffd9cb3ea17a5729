-- prose: the page's sentences as HTML: the summary, notes, hints, samples.
local effects = require("gen.report.effects")
local text = require("gen.report.text")
local words = require("gen.report.words")

local prose = {}

function prose.summary(report)
  local out = {}
  for i, line in ipairs(words.summary(report.plan, report.order, report.seeds)) do
    out[i] = "<p>" .. text.html(line) .. "</p>"
  end
  return table.concat(out, "\n")
end

-- The notes on each run: overfitting, and what is missing.
function prose.notes(report)
  local lines = {}
  for _, note in ipairs(report.notes) do lines[#lines + 1] = "<li>" .. text.html(note) .. "</li>" end
  for _, r in ipairs(report.plan.runs) do
    local said = table.move(r.notes, 1, #r.notes, 1, {})
    if r.overfitting.kind ~= "unknown" then table.insert(said, 1, r.overfitting.text) end
    if #said > 0 then
      lines[#lines + 1] = ("<li><b>%s</b>: %s.</li>"):format(text.html(r.name), text.html(table.concat(said, "; ")))
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
  if r.final and r.final.val then facts[#facts + 1] = "final val " .. words.loss(r.final.val) end
  local params = r.num_params_nanogpt or r.num_params
  if params then facts[#facts + 1] = words.count(params) .. " parameters" end
  local out = { ('<article class="sample"><h3>%s%s</h3><div class="soft">%s</div><div class="texts">'):format(
    label and label .. ": " or "", text.html(r.name), text.html(table.concat(facts, " · "))) }
  for _, kind in ipairs({ { "final", "final weights" }, { "best", "best checkpoint" } }) do
    local body = s[kind[1]]
    out[#out + 1] = ("<div><h4>%s</h4>%s</div>"):format(kind[2], body and
      ("<pre><i>%s</i>%s</pre>"):format(text.html(report.prompts[i]), text.html(body)) or '<p class="soft">none</p>')
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
  if #cards == 0 then return '<p class="soft">There are none.</p>' end
  local function grid(from, to)
    return '<div class="samples">\n' .. table.concat(cards, "\n", from, to) .. "\n</div>"
  end
  if first == 0 or #cards == first then return grid(1, #cards) end
  return grid(1, first) .. ("\n<details open><summary>The others, from the best on</summary>\n%s\n</details>"):format(
    grid(first + 1, #cards))
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
  grid = "Main effects: at each value of a factor the mean of the best validation loss over all runs that have it; " ..
    "the bar is ±1 sd over the other settings, grey dots are runs. Δ is the mean difference of runs alike in all " ..
    "else, against the value marked *; it is distinct from 0 if its 95% interval (Student’s t, over those pairs) " ..
    "leaves 0 out.",
  vary = "One change at a time around the baseline, marked *: the best validation loss at each value of a factor, " ..
    "others as in the baseline.",
  runs = "The best validation loss at each value of a setting in which the runs differ, for runs that differ from " ..
    "the first, marked *, in nothing else.",
}

function prose.effects_hint(report)
  local p = report.plan
  local hint = EFFECTS[p.kind]
  if #p.seeds < 2 then
    hint = hint .. " With one seed, a difference may be due to the seed; several seeds would show it."
  end
  if #report.prefixes > 0 then
    hint = hint .. (" %d runs are the first part of a longer one, so a larger max_iters cannot be worse.")
      :format(#report.prefixes)
  end
  local left_out = 0
  for _, r in ipairs(p.runs) do if not effects.counts(r) then left_out = left_out + 1 end end
  if left_out > 0 then
    hint = hint .. (" Left out, as not finished or without evaluations: %d of %d runs."):format(left_out, #p.runs)
  end
  return text.html(hint)
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
  return ("Made by gen/report.lua from %s. Charts: Chart.js, MIT licence. Losses are in nats per token."):format(
    text.html(from))
end

return prose
