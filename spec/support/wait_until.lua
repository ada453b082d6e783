-- Waits for a condition that another process brings about, and fails when it
-- does not come.

local process = require "process"
local assert = require "luassert"

---@param condition fun(): any
---@param what string completes "waited in vain for"
---@param timeout number? seconds (10)
---@return any value what the condition returned
local function wait_until(condition, what, timeout)
  local deadline = process.now() + (timeout or 10)
  while true do
    local value = condition()
    if value then return value end
    assert(process.now() < deadline, "waited in vain for " .. what)
    process.sleep(0.001)
  end
end

return wait_until
