-- statistics: mean and spread, and whether differences can be told from chance.
local statistics = {}

local LEVEL = 0.05

-- The probability that Student's t with a whole number of degrees of freedom is as far from 0 as `t`, by the finite
-- sums that it has for those.
function statistics.p_of_t(t, df)
  local angle = math.atan(math.abs(t) / math.sqrt(df))
  local sine, square = math.sin(angle), math.cos(angle) ^ 2
  local term, sum = 1, 0
  if df % 2 == 0 then
    for k = 0, df - 2, 2 do
      sum = sum + term
      term = term * square * (k + 1) / (k + 2)
    end
    return math.max(0, 1 - sine * sum)
  end
  for k = 1, df - 2, 2 do
    sum = sum + term
    term = term * square * (k + 1) / (k + 2)
  end
  return math.max(0, 1 - 2 / math.pi * (angle + sine * math.cos(angle) * sum))
end

-- The two-sided 95% point of Student's t.
function statistics.t95(df)
  local low, high = 0, 16
  for _ = 1, 60 do
    local middle = (low + high) / 2
    if statistics.p_of_t(middle, df) > LEVEL then low = middle else high = middle end
  end
  return high
end

-- { n, mean, sd, min, max } of a list; sd is nil for fewer than two.
function statistics.of(list)
  local n = #list
  if n == 0 then return { n = 0 } end
  local sum, min, max = 0, list[1], list[1]
  for _, x in ipairs(list) do
    sum, min, max = sum + x, math.min(min, x), math.max(max, x)
  end
  local mean, squares = sum / n, 0
  for _, x in ipairs(list) do squares = squares + (x - mean) ^ 2 end
  return { n = n, mean = mean, min = min, max = max, sd = n > 1 and math.sqrt(squares / (n - 1)) or nil }
end

-- The mean of paired differences, the half width of its 95% interval (Student's t), and the probability of a mean as
-- far from 0 by chance; with fewer than three pairs, the last two are nil.
function statistics.paired(differences)
  local s = statistics.of(differences)
  if s.n < 3 then return { n = s.n, mean = s.mean } end
  local error_of_mean = s.sd / math.sqrt(s.n)
  local p = s.mean == 0 and 1 or 0
  if error_of_mean > 0 then p = statistics.p_of_t(s.mean / error_of_mean, s.n - 1) end
  return { n = s.n, mean = s.mean, half = statistics.t95(s.n - 1) * error_of_mean, p = p }
end

-- Sets `distinct` of each comparison that has a p: whether it differs from 0 at 95%, with Holm's correction for the
-- number of them, which is returned.
function statistics.holm(comparisons)
  local list = {}
  for _, c in ipairs(comparisons) do if c.p then list[#list + 1] = c end end
  table.sort(list, function(a, b) return a.p < b.p end)
  local holds = true
  for i, c in ipairs(list) do
    holds = holds and c.p <= LEVEL / (#list - i + 1)
    c.distinct = holds
  end
  return #list
end

-- How much a curve scatters about a smooth one: the sd of single points, estimated from second differences, which are 0
-- for a straight line; from their median, so that the steep start does not count. nil for fewer than five points.
function statistics.scatter(ys)
  local seconds = {}
  for i = 2, #ys - 1 do seconds[#seconds + 1] = math.abs(ys[i - 1] - 2 * ys[i] + ys[i + 1]) end
  if #seconds < 3 then return nil end
  table.sort(seconds)
  local half = #seconds // 2
  local middle = #seconds % 2 == 1 and seconds[half + 1] or (seconds[half] + seconds[half + 1]) / 2
  return middle / (0.6745 * math.sqrt(6))
end

return statistics
