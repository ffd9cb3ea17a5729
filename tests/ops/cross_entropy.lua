-- Cases of cross_entropy: targets that do not count; logits far apart; rows in several row blocks.
return function(case)
  for _, size in ipairs({ { 1, 1 }, { 7, 5 }, { 13, 65 }, { 7, 257 }, { 13, 100 }, { 100, 17 }, { 7, 1000 },
    { 5, 2309 }, { 3, 50304 } }) do
    local backend = (size[2] == 1000 or size[2] == 50304) and "cuda" or nil
    for _, spread in ipairs({ 1, 40 }) do
      case(("%dx%d%s"):format(size[1], size[2], spread > 1 and " far apart" or ""),
        { tolerance = 1e-6, vocab = size[2], backend = backend }, function(g, given)
          local logits = given("scores", size, { spread = spread })
          local targets = given("targets", { size[1] }, { type = "i32", below = size[2], ignored = size[1] > 1 })
          local losses = g:append("cross_entropy", { "losses" }, { logits, targets })
          g:append("mean_loss", {}, { losses, targets })
        end)
    end
  end
end
