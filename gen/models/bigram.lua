-- bigram: the one-table baseline: a token's row of the table is the logits of the next token.
local bigram = {}

function bigram.forward(g, c, rows)
  local V = c.vocab_size
  local tokens = g:input("tokens", { rows }, "i32")
  local pytorch = c.init == "pytorch"
  local table_ = g:param("token_embedding_table.weight", { V, V },
    { init = "normal", init_value = pytorch and 1.0 or 0.02 })
  local logits = g:append("embed", { "logits" }, { tokens, table_ }, { T = c.block_size })
  if c.decode then logits = g:append("last_row", { "last" }, { logits }) end
  return logits
end

return bigram
