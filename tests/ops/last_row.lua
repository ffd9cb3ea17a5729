-- Cases of last_row.
return function(case)
  for _, size in ipairs({ { 1, 16, 5 }, { 5, 16, 100 }, { 7, 7, 1 } }) do
    case(("%d of %dx%d"):format(table.unpack(size)),
      { tolerance = 1e-7, decode = { rows = size[1], pos = 0, most = size[2] } }, function(g, given)
        return g:append("last_row", { "y" }, { given("x", { size[2], size[3] }) })
      end)
  end
end
