-- test_nearest: which name was probably meant, with the same cases as the runtime's test.
local check = require "tests.gen.check"
local files = require "gen.base.files"
local nearest = require "gen.base.nearest"

local cases = 0
for line in files.read("tests/runtime/nearest_cases.txt"):gmatch("[^\n]+") do
  if not line:find("^#") then
    local words = {}
    for word in line:gmatch("%S+") do words[#words + 1] = word end
    local word, wanted = words[1]:gsub('^""$', ""), words[2]
    cases = cases + 1
    check.test(line, function() check.equal(nearest(word, { table.unpack(words, 3) }) or "-", wanted) end)
  end
end

check.test("cases", function() check.equal(cases > 20, true) end)

check.finish()
