-- words: the report's words: figures, whether a run overfits, the order of runs, what a test showed.
local effects = require("gen.report.effects")
local plan = require("gen.report.plan")
local statistics = require("gen.report.statistics")

local words = {}

local LEAST_RISE = 0.005 -- nats: below this nothing is called a rise

-- 12345.6 as "12,346".
function words.count(n)
  local text = ("%.0f"):format(n)
  local sign, digits = text:match("^(-?)(%d+)$")
  if not digits then return text end
  digits = digits:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", "")
  return sign .. digits
end

function words.loss(x)
  return x and ("%.4f"):format(x) or "none"
end

-- A difference with its sign.
function words.delta(x)
  return ("%+.4f"):format(x):gsub("^-", "−")
end

function words.duration(seconds)
  if seconds < 60 then return ("%.1f s"):format(seconds) end
  if seconds < 3600 then return ("%.1f min"):format(seconds / 60) end
  return ("%.1f h"):format(seconds / 3600)
end

-- "a", "a and b", "a, b and c"; with more than `most`, the first ones and how many more.
function words.listed(items, most)
  local n, shown = #items, table.move(items, 1, math.min(#items, most or #items), 1, {})
  if n > #shown then shown[#shown + 1] = ("%d more"):format(n - #shown) end
  if #shown <= 1 then return shown[1] or "" end
  return table.concat(shown, ", ", 1, #shown - 1) .. " and " .. shown[#shown]
end

-- ---- overfitting --------------------------------------------------------------------------------

-- What the validation loss does after its minimum: { kind, text, rise }. kind is overfits, scatters, rises, falls or
-- unknown. A rise counts if it is more than the evaluations scatter: 2 sd of a difference.
function words.overfitting(r)
  local list = {}
  for _, e in ipairs(r.evaluations) do if e.val then list[#list + 1] = e end end
  local last = list[#list]
  if #list < 2 then return { kind = "unknown", text = "too few evaluations to see overfitting" } end
  local best, vals = r.best, {}
  for i, e in ipairs(list) do vals[i] = e.val end
  if last == best then
    return { kind = "falls", rise = 0,
      text = ("val is lowest at the last evaluation, iteration %s: no overfitting so far"):format(
        words.count(last.iter)) }
  end
  local rise = last.val - best.val
  local scatter = statistics.scatter(vals)
  local least = math.max(LEAST_RISE, scatter and 2 * math.sqrt(2) * scatter or 0)
  local from = ("from its minimum %s at iteration %s to %s at %s"):format(words.loss(best.val), words.count(best.iter),
    words.loss(last.val), words.count(last.iter))
  if rise <= least then
    return { kind = "scatters", rise = rise, text = ("val rose by %s %s, no more than its evaluations scatter (±%.4f)")
      :format(words.loss(rise), from, least) }
  end
  local fell = best.train and last.train and best.train - last.train
  if fell and fell > 0 then
    return { kind = "overfits", rise = rise, text = ("overfits: val rose by %s %s while train fell by %s"):format(
      words.loss(rise), from, words.loss(fell)) }
  end
  return { kind = "rises", rise = rise,
    text = ("val rose by %s %s, and train did not fall: it got worse, but not by overfitting"):format(words.loss(rise),
      from) }
end

-- ---- the order of runs --------------------------------------------------------------------------

-- Indexes of the runs that have more than a first evaluation, by data set, and in each the lowest validation loss
-- first; each gets its rank, which is among the runs on its data set, as losses on others are not comparable.
function words.rank(p)
  local order, place = {}, {}
  for n, name in ipairs(plan.datasets(p)) do place[name] = n end
  for i, r in ipairs(p.runs) do if effects.is_ranked(r) then order[#order + 1] = i end end
  table.sort(order, function(a, b)
    local m, n = place[p.runs[a].on], place[p.runs[b].on]
    if m ~= n then return m < n end
    local x, y = p.runs[a].best.val, p.runs[b].best.val
    if x ~= y then return x < y end
    return a < b
  end)
  local ranked = {}
  for _, i in ipairs(order) do
    local r = p.runs[i]
    ranked[r.on] = (ranked[r.on] or 0) + 1
    r.rank = ranked[r.on]
  end
  return order
end

-- How several differences were tested: "paired by seed, Student's t at 95%, with Holm's correction for 4 comparisons".
function words.test(count)
  return ("paired by seed, Student’s t at 95%%%s"):format(count > 1 and
    (", with Holm’s correction for %d comparisons"):format(count) or "")
end

-- The result of a test over seeds, for the table.
function words.verdict(distinct)
  if distinct == nil then return "too few seeds to tell" end
  return distinct and "distinct" or "not distinguishable"
end

-- What a difference between two values of a factor shows: with several seeds a test; with one no more than in how many
-- settings it has the same sign.
function words.effect(d)
  if d.seeds > 1 then return words.verdict(d.distinct) end
  if d.n == 1 then return "one pair, one seed: cannot be told" end
  local of = ("%s in %d of %d"):format(d.mean < 0 and "lower" or "higher", d.same, d.n)
  return (d.same == d.n and "consistent over settings: " or "not consistent over settings: ") .. of
end

return words
