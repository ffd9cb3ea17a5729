-- test_shown: a key of a few words, whose values the tensors of a checkpoint do not show by their names and shapes, is
-- one that a sampler compares (changes = function): else it would sample with the wrong model and not know.
package.path = "./?.lua;" .. package.path
local check = require "tests.gen.check"
local config = require "gen.config.load"
local hash = require "gen.config.hash"
local parameters = require "gen.import.table"
local schema = require "gen.config.schema"

local MODELS = { "", "norm=rmsnorm norm_gain=false bias=true", "norm=rmsnorm qk_norm=plain tie_weights=false" }

local function load(words)
  local list = { "n_layer=1", "n_head=2", "n_embd=12", "block_size=4", "vocab_size=5" }
  for word in words:gmatch("%S+") do list[#list + 1] = word end
  return config.load({ "configs/shakespeare_char_cpu.lua" }, list, { backend = "cpu" })
end

for _, key in ipairs(schema.baked_keys()) do
  if key.gpt and key.shape and key.changes ~= "function" and (key.type == "bool" or key.type == "enum") then
    check.test(key.name .. " shows in a checkpoint's tensors", function()
      for _, model in ipairs(MODELS) do
        local by_table, found = {}, 0
        for _, value in ipairs(key.values or { true, false }) do
          local good, c = pcall(load, ("%s %s=%s"):format(model, key.name, value))
          if good then -- norm_gain=false has no layernorm
            found = found + 1
            local text = parameters.text(c)
            local other = by_table[text]
            if other and hash.baked_text(other) ~= hash.baked_text(c) then
              error(("with '%s' the same tensors at %s and %s"):format(model, other[key.name], value))
            end
            by_table[text] = c
          end
        end
        check.equal(found > 0, true, model)
      end
    end)
  end
end

check.finish()
