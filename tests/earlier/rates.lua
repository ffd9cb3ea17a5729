-- rates: the sweep of which half is kept: one run done, one stopped, one not begun.
return {
  base = "tests/earlier/harbour.lua",
  grid = { { "learning_rate", { 0.003, 0.01, 0.03 } } },
  prompt = "A gull",
}
