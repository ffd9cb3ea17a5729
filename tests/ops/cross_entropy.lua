-- Cases of cross_entropy: targets that do not count; logits far apart, and capped; rows in several row blocks.
return function(case)
  for _, size in ipairs({ { 1, 1 }, { 7, 5 }, { 13, 65 }, { 7, 257 }, { 13, 100 }, { 100, 17 }, { 7, 1000 },
    { 5, 2309 }, { 3, 50304 } }) do
    local backend = (size[2] == 1000 or size[2] == 50304) and "cuda" or nil
    local function loss(name, spread, cap)
      case(("%dx%d%s"):format(size[1], size[2], name), { tolerance = 1e-6, vocab = size[2], backend = backend },
        function(g, given)
          local logits = given("scores", size, { spread = spread })
          local targets = given("targets", { size[1] }, { type = "i32", below = size[2], ignored = size[1] > 1 })
          local losses = g:append("cross_entropy", { "losses" }, { logits, targets }, { cap = cap })
          g:append("mean_loss", {}, { losses, targets })
        end)
    end
    loss("", 1)
    loss(" far apart", 40)
    if size[2] > 5 then
      loss(" capped", 4, 3.0)
      loss(" far apart, capped", 40, 30.0)
    end
  end
end
