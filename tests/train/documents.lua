-- documents: writes documents, and reads a data set back as plainly as can be: it knows nothing of the reader that it
-- checks but meta.json's tokenizer and the files.
--
--   lua5.4 tests/train/documents.lua write FOLDER        some 600 documents: texts, JSON lines, folders in it
--   lua5.4 tests/train/documents.lua check FOLDER [lf]   whether the data set in FOLDER holds each of them once, in
--                                                        their order, ended by its token; lf: with line ends as LF
local how, folder, ends = table.unpack(arg)

-- Numbers that are the same each time.
local state = 1
local function random(n)
  state = state * 1103515245 + 12345 & 0x7fffffff
  return (state >> 8) % n + 1
end

local words = { "the", " quick", "\n", " fox's", "é", " 漢字", "\u{1F600}", "\"", "\\", " 12", "\r\n", "\t", "!?", "  ",
  "<|endoftext|>", "\u{2028}", "\0", "\u{7f}", " don't" }
local function text()
  local parts = {}
  for i = 1, random(60) - 1 do parts[i] = words[random(#words)] end
  return table.concat(parts)
end

local function escaped(s, all)
  local short = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }
  local out = {}
  for _, c in utf8.codes(s) do
    local character = utf8.char(c)
    if short[character] then
      out[#out + 1] = short[character]
    elseif c < 0x20 or (all and c > 0x7e and c < 0x10000) then
      out[#out + 1] = ("\\u%04x"):format(c)
    elseif all and c >= 0x10000 then
      out[#out + 1] = ("\\u%04X\\u%04X"):format(0xd800 + (c - 0x10000 >> 10), 0xdc00 + (c - 0x10000 & 0x3ff))
    else
      out[#out + 1] = character
    end
  end
  return table.concat(out)
end

-- The documents, in the order of their files' names: { path = ..., text = ... }.
local function documents()
  local all, files = {}, {}
  local function file(path, bytes) files[#files + 1] = { path = path, bytes = bytes } end
  for i = 10, 29 do
    local path = ("a/%d.txt"):format(i)
    all[#all + 1] = { path = path, text = text() }
    file(path, all[#all].text)
  end
  for i = 1, 3 do
    local path, lines = ("b%d.jsonl"):format(i), {}
    for n = 1, 200 do
      local document = text()
      all[#all + 1] = { path = path, text = document }
      lines[n] = ('{"id": %d, "text": "%s", "more": {"text": [null, -1.5e3]}}'):format(n, escaped(document, n % 2 == 0))
    end
    file(path, table.concat(lines, "\n", 1, 200) .. (i > 1 and "\n" or ""))
  end
  local long = {}
  for i = 1, 400 do long[i] = text() end
  all[#all + 1] = { path = "long", text = table.concat(long) }
  file("long", all[#all].text)
  return all, files
end

local all, files = documents()
if how == "write" then
  assert(os.execute(("mkdir -p '%s/a'"):format(folder)))
  for _, file in ipairs(files) do
    local out = assert(io.open(folder .. "/" .. file.path, "wb"))
    out:write(file.bytes)
    assert(out:close())
  end
  os.exit(0)
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read("a")
  file:close()
  return bytes
end

-- ---- the data set ---------------------------------------------------------------------------------------

local meta = read(folder .. "/meta.json")
local bytes, merges = meta:match('"tokenizer": "bpe gpt2 (%x+) (%x+) <|endoftext|>"')
local tokens = {}
for byte in bytes:gmatch("%x%x") do tokens[#tokens + 1] = string.char(tonumber(byte, 16)) end
for left, right in merges:gmatch("(%x%x%x%x)(%x%x%x%x)") do
  tokens[#tokens + 1] = tokens[tonumber(left, 16) + 1] .. tokens[tonumber(right, 16) + 1]
end
local last = #tokens -- the id of <|endoftext|>

local function split(name)
  local ids, found, parts = read(("%s/%s.bin"):format(folder, name)), {}, {}
  for at = 1, #ids, 2 do
    local id = string.unpack("<I2", ids, at)
    if id == last then
      found[#found + 1] = table.concat(parts)
      parts = {}
    else
      parts[#parts + 1] = assert(tokens[id + 1], id)
    end
  end
  assert(#parts == 0, name .. " does not end with the token of a document's end")
  return found
end

local train, val = split("train"), split("val")
assert(#train + #val == #all, ("%d and %d documents; there are %d"):format(#train, #val, #all))
assert(#val > 0)
assert(meta:find(('"documents": %d,\n  "val_documents": %d,'):format(#all, #val), 1, true))
local of_train, of_val, side = 1, 1, {}
for _, document in ipairs(all) do
  local wanted = document.text
  if ends == "lf" then wanted = wanted:gsub("\r\n", "\n"):gsub("\r", "\n") end
  if train[of_train] == wanted and side[wanted] ~= "val" then
    of_train, side[wanted] = of_train + 1, "train"
  else
    assert(val[of_val] == wanted and side[wanted] ~= "train", document.path .. ": a document is missing, or not itself")
    of_val, side[wanted] = of_val + 1, "val"
  end
end
print(("%d documents to train on, %d to validate with"):format(#train, #val))
