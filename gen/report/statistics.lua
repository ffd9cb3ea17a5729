-- statistics: mean and spread, and whether two means can be told apart.
local statistics = {}

-- Two-sided 95% points of Student's t by degrees of freedom; above 30, those of the next lower of 30, 40, 60, 120.
local T95 = { 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145,
  2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042 }

function statistics.t95(df)
  df = math.floor(df)
  if df < 1 then return math.huge end
  if df <= 30 then return T95[df] end
  return df < 40 and T95[30] or df < 60 and 2.021 or df < 120 and 2.000 or 1.980
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

-- The mean of paired differences, the half width of its 95% interval (Student's t), and whether it is distinct from 0;
-- with fewer than three pairs, the last two are nil.
function statistics.paired(differences)
  local s = statistics.of(differences)
  if s.n < 3 then return { n = s.n, mean = s.mean } end
  local half = statistics.t95(s.n - 1) * s.sd / math.sqrt(s.n)
  return { n = s.n, mean = s.mean, half = half, distinct = math.abs(s.mean) > half }
end

-- Whether the means of two lists differ, by Welch's t-test at 95%; nil if one has fewer than two values.
function statistics.welch(a, b)
  local x, y = statistics.of(a), statistics.of(b)
  if x.n < 2 or y.n < 2 then return nil end
  local u, v = x.sd ^ 2 / x.n, y.sd ^ 2 / y.n
  local difference = math.abs(x.mean - y.mean)
  if u + v == 0 then return difference > 0 end
  local df = (u + v) ^ 2 / (u ^ 2 / (x.n - 1) + v ^ 2 / (y.n - 1))
  return difference > statistics.t95(df) * math.sqrt(u + v)
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
