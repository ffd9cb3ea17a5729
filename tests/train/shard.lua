-- shard.lua: makes a token shard as llm.c does: shard.lua FILE TYPE SEED COUNT VOCABULARY. With TYPE raw it has no
-- header, as nanoGPT's files. Tokens follow each other as in a text that can be learnt: mostly t, t + 3, t + 6 ...
local path, type, seed, count, vocabulary = arg[1], arg[2], tonumber(arg[3]), tonumber(arg[4]), tonumber(arg[5])
local kinds = { uint16 = { 20240520, 1, "<I2" }, uint32 = { 20240801, 7, "<I4" } }
local kind, parts, token = kinds[type:match("uint%d+")], {}, seed % vocabulary
math.randomseed(seed)
for i = 1, count do
  parts[i] = string.pack(kind[3], token)
  token = math.random(4) == 1 and math.random(0, vocabulary - 1) or (token + 3) % vocabulary
end
local file = assert(io.open(path, "wb"))
if not type:find("^raw") then
  file:write(string.pack("<i4i4i4", kind[1], kind[2], count), ("\0"):rep(1024 - 12))
end
assert(file:write(table.concat(parts)) and file:close())
