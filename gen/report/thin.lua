-- thin: reduces a curve of any length to at most `limit` points, each the mean of equally many neighbours. It takes one
-- value after another, so that a file is read once.
local thin = {}
thin.__index = thin

function thin.new(limit)
  return setmetatable({ limit = limit, size = 1, count = 0, buckets = {} }, thin)
end

-- Merges each two neighbours into one.
local function halve(self)
  local halved = {}
  for i = 1, #self.buckets, 2 do
    local a, b = self.buckets[i], self.buckets[i + 1]
    halved[#halved + 1] = b and { a[1] + b[1], a[2] + b[2], a[3] + b[3], a[4] + b[4] } or a
  end
  self.buckets, self.size = halved, self.size * 2
end

-- y may be nil: such a point counts for x and not for the mean of y.
function thin:add(x, y)
  local last = self.buckets[#self.buckets]
  if not last or last[4] == self.size then
    if #self.buckets == self.limit then halve(self) end
    last = self.buckets[#self.buckets]
    if not last or last[4] == self.size then
      last = { 0, 0, 0, 0 } -- sum of x, sum of y, count of y, count of x
      self.buckets[#self.buckets + 1] = last
    end
  end
  last[1], last[4] = last[1] + x, last[4] + 1
  if y then last[2], last[3] = last[2] + y, last[3] + 1 end
end

-- Lists of x and y (false where there was none), and how many points of the curve are in one of them.
function thin:points()
  local xs, ys = {}, {}
  for i, b in ipairs(self.buckets) do
    xs[i] = b[1] / b[4]
    ys[i] = b[3] > 0 and b[2] / b[3]
  end
  return xs, ys, self.size
end

return thin
