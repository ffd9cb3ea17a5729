-- Tests of gen/emit/muon.lua: the rows of blocks in which a symmetric product is computed on a device.
package.path = "./?.lua;" .. package.path
local check = require("tests.gen.check")
local muon = require("gen.emit.muon")

check.test("blocks: all rows once, each up to its block on the diagonal, at multiples of 64", function()
  for _, least in ipairs({ 40, 256 }) do
    for m = 1, 5000 do
      local at, high = 0, muon.blocks(m, least)[1].rows
      for _, block in ipairs(muon.blocks(m, least)) do
        if block.from ~= at or block.cols ~= at + block.rows or block.rows < 1 or block.rows > high then
          error(("%d: a block of %d rows from %d, %d wide"):format(m, block.rows, block.from, block.cols))
        end
        if at % 64 ~= 0 then error(("%d: a block from %d"):format(m, at)) end
        at = at + block.rows
      end
      check.equal(at, m)
    end
  end
end)

check.test("blocks: small ones are whole, and n equal ones (n + 1) / (2n) of it", function()
  for m, count in pairs({ [511] = 1, [512] = 2, [768] = 3, [1024] = 4, [2048] = 8, [4096] = 8 }) do
    check.equal(#muon.blocks(m), count, m)
    check.equal(muon.computed(m) * 2 * count, m * m * (count + 1), m)
  end
end)

check.finish()
