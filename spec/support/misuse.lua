-- Asserts that a call is refused as misuse: it raises, at the caller's line, a
-- message that holds the texts given.

local assert = require "luassert"

local function describe_call(call)
  local info = debug.getinfo(call, "S")
  assert(info.linedefined == info.lastlinedefined, "write the call on one line")
  return info.short_src .. ":" .. info.linedefined .. ": "
end

local function holds(message, texts)
  if type(texts) == "string" then texts = { texts } end
  for _, text in ipairs(texts) do
    if message:find(text, 1, true) then return true end
  end
  return false, "'" .. table.concat(texts, "' or '") .. "'"
end

---@param call fun() a function on one line, whose call is not a tail call
---@param ... string|string[] plain texts that the message must hold; of those
---in a table, one
---@return string message without the position
local function misuse(call, ...)
  local position = describe_call(call)
  local ok, message = pcall(call)
  assert(not ok, "the call was accepted (" .. position .. ")")
  assert(type(message) == "string", "the error is no text but a " .. type(message))
  assert(message:sub(1, #position) == position,
    "expected the position " .. position .. "in: " .. message)
  local said = message:sub(#position + 1)
  for _, texts in ipairs({ ... }) do
    local found, missing = holds(said, texts)
    if not found then assert(false, "expected " .. missing .. " in: " .. message) end
  end
  return said
end

return misuse
