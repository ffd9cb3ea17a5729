-- scale_svg: scale.lua's chart: a dot for each size, its share of the peak over its FLOP a step, with a
-- colour for each n_embd. Returns draw(all), which returns the text of an SVG.

local WIDTH, HEIGHT = 820, 480
local LEFT, RIGHT, TOP, BOTTOM = 64, 130, 48, 56
local PLOT_WIDTH, PLOT_HEIGHT = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
local colours = { [64] = "#4477aa", [128] = "#228833", [256] = "#ccaa22", [512] = "#ee6677", [1024] = "#aa3377" }

local function escaped(text)
  return (text:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }))
end

-- The powers of ten below and above all sizes' GFLOP.
local function range_of(sizes)
  local low, high = math.huge, -math.huge
  for _, size in ipairs(sizes) do
    local x = math.log(size.flop / 1e9, 10)
    low, high = math.min(low, math.floor(x)), math.max(high, math.ceil(x))
  end
  return low, math.max(high, low + 1)
end

return function(all)
  local text = {}
  local function add(...) text[#text + 1] = (...):format(select(2, ...)) end
  local low, high = range_of(all.sizes)
  local top = 1.0
  for _, size in ipairs(all.sizes) do top = math.max(top, math.ceil(size.share_of_peak * 10) / 10) end
  local function x_of(gflop) return LEFT + PLOT_WIDTH * (math.log(gflop, 10) - low) / (high - low) end
  local function y_of(share) return TOP + PLOT_HEIGHT * (1 - share / top) end

  add('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">', WIDTH,
    HEIGHT)
  add('<rect width="%d" height="%d" fill="white"/>', WIDTH, HEIGHT)
  add('<text x="%d" y="20" font-size="15">A training step\'s share of the multiply-add peak, by its size</text>', LEFT)
  add('<text x="%d" y="37" fill="#555">n_layer 4, vocabulary 65; %s, %d threads, %s; %s</text>', LEFT,
    escaped(all.machine), all.threads, all.isa, all.date:sub(1, 10))
  for tenths = 0, math.floor(top * 10 + 0.5), 2 do
    local y = y_of(tenths / 10)
    add('<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#ddd"/>', LEFT, y, LEFT + PLOT_WIDTH, y)
    add('<text x="%d" y="%.1f" text-anchor="end">%d%%</text>', LEFT - 8, y + 4, tenths * 10)
  end
  for power = low, high do
    local x = x_of(10.0 ^ power)
    add('<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#ddd"/>', x, TOP, x, TOP + PLOT_HEIGHT)
    add('<text x="%.1f" y="%d" text-anchor="middle">%g</text>', x, TOP + PLOT_HEIGHT + 18, 10.0 ^ power)
  end
  add('<text x="%d" y="%d" text-anchor="middle">GFLOP a step, as nanoGPT counts</text>', LEFT + PLOT_WIDTH // 2,
    HEIGHT - 14)
  add('<text transform="translate(16 %d) rotate(-90)" text-anchor="middle">share of the peak</text>',
    TOP + PLOT_HEIGHT // 2)
  for _, size in ipairs(all.sizes) do
    add('<circle cx="%.1f" cy="%.1f" r="4.5" fill="%s" fill-opacity="0.8"><title>n_embd %d, block_size %d, batch_size '
      .. '%d: %.2f ms, %.0f%% of the peak, %.0f%% of its floor</title></circle>', x_of(size.flop / 1e9),
      y_of(size.share_of_peak), colours[size.n_embd] or "#888", size.n_embd, size.block_size, size.batch_size,
      size.ms_median, 100 * size.share_of_peak, 100 * size.share_of_floor)
  end
  local y = TOP + 8
  for n_embd = 64, 1024 do
    if colours[n_embd] then
      add('<circle cx="%d" cy="%d" r="4.5" fill="%s"/>', LEFT + PLOT_WIDTH + 20, y, colours[n_embd])
      add('<text x="%d" y="%d">n_embd %d</text>', LEFT + PLOT_WIDTH + 32, y + 4, n_embd)
      y = y + 20
    end
  end
  add("</svg>")
  return table.concat(text, "\n") .. "\n"
end
