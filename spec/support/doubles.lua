-- Doubles from their bits, which neither Lua can do in the other's way.

---The double whose upper and lower 32 bits are given.
---@type fun(upper: integer, lower: integer): number
local from_words

if string.unpack then
  function from_words(upper, lower)
    return (string.unpack("<d", string.pack("<I4I4", lower, upper)))
  end
else
  local ffi = require "ffi"
  local cell = ffi.new("union { double number; uint32_t words[2]; }")

  function from_words(upper, lower)
    cell.words[0], cell.words[1] = lower, upper
    return tonumber(cell.number)
  end
end

local doubles = { from_words = from_words }

---A finite double of random bits.
---@param numbers Random
---@return number
function doubles.random(numbers)
  while true do
    local upper = numbers:whole(0, 65535) * 65536 + numbers:whole(0, 65535)
    local lower = numbers:whole(0, 65535) * 65536 + numbers:whole(0, 65535)
    local number = from_words(upper, lower)
    if number - number == 0 then return number end
  end
end

return doubles
