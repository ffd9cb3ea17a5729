-- bpe: writes vocab.bpe and encoder.json of a tokenizer as GPT-2's, with three merges.
--
--   lua5.4 tests/torture/bpe.lua FOLDER
local folder, tokens = arg[1], {}
for hidden = 0, 1 do
  local shown = 0x100
  for byte = 0, 255 do
    local seen = byte > 0x20 and byte < 0x7f or byte > 0xa0 and byte ~= 0xad
    if seen == (hidden == 0) then
      tokens[#tokens + 1] = utf8.char(seen and byte or shown)
      if not seen then shown = shown + 1 end
    end
  end
end
for _, token in ipairs { "ba", "da", "bad", "<|endoftext|>" } do tokens[#tokens + 1] = token end
local file = assert(io.open(folder .. "/vocab.bpe", "w"))
file:write("#version: 0.2\nb a\nd a\nba d\n")
file:close()
for i, token in ipairs(tokens) do
  tokens[i] = ('"%s": %d'):format(token:gsub('[\\"]', "\\%0"), i - 1)
end
file = assert(io.open(folder .. "/encoder.json", "w"))
file:write("{", table.concat(tokens, ", "), "}")
file:close()
