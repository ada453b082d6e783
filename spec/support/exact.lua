-- Compares values exactly: numbers by kind (integer or float, where Lua tells)
-- and by the sign of zero, strings byte by byte, tables key by key both ways.

local exact = {}

local number_kind = math.type or function() return "number" end ---@diagnostic disable-line

local function same_number(expected, actual)
  if expected ~= actual or number_kind(expected) ~= number_kind(actual) then
    return false
  end
  return expected ~= 0 or 1 / expected == 1 / actual
end

local function name_number(number)
  return ("%s %.17g"):format(number_kind(number), number)
end

local function name(value)
  if type(value) == "number" then return name_number(value) end
  if type(value) ~= "string" then return tostring(value) end
  if #value <= 60 then return ("%q"):format(value) end
  return ("%q... (%d bytes)"):format(value:sub(1, 60), #value)
end

local function differ(path, expected, actual)
  return path .. ": expected " .. name(expected) .. ", got " .. name(actual)
end

local function extra_key(expected, actual, path)
  for key in pairs(actual) do
    if expected[key] == nil then return path .. ": unexpected key " .. name(key) end
  end
end

local function table_difference(expected, actual, path)
  for key, value in pairs(expected) do
    local found = exact.difference(value, actual[key], path .. "[" .. name(key) .. "]")
    if found then return found end
  end
  return extra_key(expected, actual, path)
end

---Where and how the values differ; nil when they are the same.
---@param expected any
---@param actual any
---@param path string? what to call the value
---@return string?
function exact.difference(expected, actual, path)
  path = path or "value"
  if type(expected) ~= type(actual) then return differ(path, expected, actual) end
  if type(expected) == "table" then return table_difference(expected, actual, path) end
  if type(expected) == "number" then
    if same_number(expected, actual) then return nil end
    return differ(path, expected, actual)
  end
  if expected ~= actual then return differ(path, expected, actual) end
  return nil
end

return exact
