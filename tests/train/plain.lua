-- plain: a safetensors file without its metadata, as other tools write it: plain.lua IN OUT.
local dkjson = require "dkjson"

local file = assert(io.open(arg[1], "rb"))
local header = dkjson.decode(file:read((string.unpack("<I8", file:read(8)))))
local numbers = file:read("a")
header["__metadata__"] = nil
local text = dkjson.encode(header)
text = text .. (" "):rep(-#text % 8)
local out = assert(io.open(arg[2], "wb"))
out:write(string.pack("<I8", #text), text, numbers)
assert(out:close())
