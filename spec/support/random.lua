-- Pseudo-random numbers that are the same on every Lua for the same seed, so
-- that a failure can be repeated.

local random = {}

---@class Random
---@field private state integer
local Random = {}
Random.__index = Random

local MODULUS = 2147483647 -- 2^31 - 1: the products below are exact in doubles

---@param seed integer from 1 to 2^31 - 2
---@return Random
function random.new(seed) return setmetatable({ state = seed }, Random) end

---A whole number from 'low' to 'high'.
---@param low integer
---@param high integer
---@return integer
function Random:whole(low, high)
  self.state = self.state * 16807 % MODULUS
  return low + self.state % (high - low + 1)
end

---True in 'part' of 'total' cases.
---@param part integer
---@param total integer
---@return boolean
function Random:chance(part, total) return self:whole(1, total) <= part end

---One element of the list.
---@param list any[]
---@return any
function Random:pick(list) return list[self:whole(1, #list)] end

---@param length integer
---@return string
function Random:bytes(length)
  local bytes = {}
  for index = 1, length do bytes[index] = string.char(self:whole(0, 255)) end
  return table.concat(bytes)
end

return random
