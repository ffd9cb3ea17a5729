-- bigram: the one-table baseline: a token's row of the table is the logits of the next token.
local bigram = {}

function bigram.forward(g, c, rows)
  local V = c.vocab_size
  local tokens = g:input("tokens", { rows }, "i32")
  local pytorch = c.init == "pytorch"
  local table_ = g:param("token_embedding_table.weight", { V, V },
    { init = "normal", init_value = pytorch and 1.0 or 0.02, group = "embd" })
  local inputs = { tokens, table_ }
  if not c.decode then return (g:append("embed", { "logits" }, inputs, { T = c.block_size })) end
  local all = g:append("embed", { "looked_up" }, inputs, { T = c.block_size })
  return (g:append("last_row", { "logits" }, { all }, { runs = rows }))
end

return bigram
