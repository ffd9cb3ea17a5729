-- boards: what the boards that `make firmware` knows have, in one table. Depends on nothing.
--
--   name    what BOARD= says
--   what    the chip, for people
--   flash   KiB for code and weights
--   ram     KiB in one piece for the arena, which is one struct, and the stack
--   cpu     gcc's flags; none: there is no gcc for it here, and its code is taken to be as large as a Cortex-M33's
--   source  where the sizes are from
--   qemu    the machine that runs the program here; flash_at, ram_at, hz: its addresses and its processor's clock
local boards = {}

local M4 = "-mcpu=cortex-m4 -mfpu=fpv4-sp-d16 -mfloat-abi=hard"
local M7 = "-mcpu=cortex-m7 -mfpu=fpv5-d16 -mfloat-abi=hard"
local M33 = "-mcpu=cortex-m33 -mfpu=fpv5-sp-d16 -mfloat-abi=hard"

boards.list = {
  { name = "rp2350", what = "RP2350, Raspberry Pi Pico 2 (Cortex-M33)", flash = 4096, ram = 520, cpu = M33,
    source = "RP2350 datasheet, SRAM; Pico 2 datasheet, flash" },
  { name = "stm32h743", what = "STM32H743xI (Cortex-M7)", flash = 2048, ram = 512, cpu = M7,
    source = "DS12110; of 1,060 KB of RAM the AXI SRAM is the largest piece" },
  { name = "esp32-s3", what = "ESP32-S3, WROOM-1-N8 (Xtensa LX7)", flash = 8192, ram = 280,
    source = "module's datasheet; what ESP-IDF 5.2 leaves a small program of 345,856 bytes of D/IRAM" },
  { name = "stm32f405", what = "STM32F405xG (Cortex-M4)", flash = 1024, ram = 128, cpu = M4,
    source = "DS8626; 64 KB of core-coupled RAM lie apart" },
  { name = "netduinoplus2", what = "qemu's STM32F405 (Cortex-M4)", flash = 1024, ram = 192, cpu = M4,
    source = "qemu 7.2, hw/arm/stm32f405_soc.c: 192 KB in one piece", qemu = "netduinoplus2",
    flash_at = "0x08000000", ram_at = "0x20000000", hz = 168000000 },
  { name = "mps2-an500", what = "qemu's MPS2 with AN500 (Cortex-M7)", flash = 4096, ram = 4096, cpu = M7,
    source = "Arm DAI 0500: SSRAM 1, and 2 and 3", qemu = "mps2-an500",
    flash_at = "0x00000000", ram_at = "0x20000000", hz = 25000000 },
}

-- The board of that name; nil for "". Raises { code, message }.
function boards.find(name)
  local names = {}
  for i, board in ipairs(boards.list) do
    if board.name == name then return board end
    names[i] = board.name
  end
  if name == "" then return nil end
  error({ code = 64, message = ("BOARD: '%s' is not known; there are: %s"):format(name, table.concat(names, ", ")) }, 0)
end

-- The number of bytes with commas.
local function commas(bytes)
  local text, count = tostring(bytes), 1
  while count > 0 do text, count = text:gsub("^(%d+)(%d%d%d)", "%1,%2") end
  return text
end
boards.commas = commas

-- Why so many bytes of each do not fit; nil if they do.
function boards.problem(board, flash, ram)
  local lacks = {}
  if flash > board.flash * 1024 then
    lacks[1] = ("flash: %s of %s bytes"):format(commas(flash), commas(board.flash * 1024))
  end
  if ram > board.ram * 1024 then
    lacks[#lacks + 1] = ("RAM: %s of %s bytes"):format(commas(ram), commas(board.ram * 1024))
  end
  return lacks[1] and table.concat(lacks, ", ")
end

return boards
