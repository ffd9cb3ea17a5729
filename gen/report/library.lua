-- library: Chart.js from Debian's package libjs-chart.js, with its licence, to be inlined in a page.
local read = require("gen.report.read")

local library = {}

-- Where the package puts it, by release; the file needs no other.
library.PATHS = { "/usr/share/javascript/chart.js/chart.min.js", "/usr/share/javascript/chart.js/Chart.min.js" }
local COPYRIGHT = "/usr/share/doc/libjs-chart.js/copyright"
local MOST = 2 << 20

-- The script's text. Raises { code, message } if there is none, or none that the page's scripts can use.
function library.text()
  local script, path
  for _, p in ipairs(library.PATHS) do
    if not script then script, path = read.text(p, MOST), p end
  end
  if not script then
    error({ code = 69, message = library.PATHS[1] ..
      ": there is no Chart.js; install the package libjs-chart.js, as make report does" })
  end
  local version = script:match("Chart%.js v([%d.]+)")
  local major = version and tonumber(version:match("^%d+"))
  if not major or major < 3 then
    error({ code = 69, message = ("%s: is Chart.js %s; wanted 3 or newer, as Debian 12 and later have it"):format(path,
      version or "of an unknown version") })
  end
  if script:lower():find("</script", 1, true) then
    error({ code = 69, message = path .. ": contains '</script', so it cannot be inlined in a page" })
  end
  local licence = read.text(COPYRIGHT, MOST) or ""
  licence = licence:match("\nLicense: Expat\n( Permission.*)$")
  licence = licence and ("/*\n%s*/\n"):format(licence:gsub("%*/", "* /")) or ""
  local first = script:match("^%s*(/%*!.-%*/)") -- names, address, licence: they stay first
  return (first and first .. "\n" or "") .. licence .. script:gsub("//# sourceMappingURL=[^\n]*\n?", "")
end

return library
