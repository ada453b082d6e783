-- Writes a Lua value as JSON that people can read too: objects over several lines,
-- their keys sorted, and arrays of numbers on one. Knows nothing of benchmarks.

local json = {}

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\t"] = "\\t" }

local function quote(text)
  return '"' .. text:gsub('[%c"\\]', function(char)
    return ESCAPES[char] or ("\\u%04x"):format(char:byte())
  end) .. '"'
end

local encode

local function sorted_keys(object)
  local keys = {}
  for key in pairs(object) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

local function encode_object(object, indent)
  local deeper, parts = indent .. "  ", {}
  for i, key in ipairs(sorted_keys(object)) do
    parts[i] = deeper .. quote(key) .. ": " .. encode(object[key], deeper)
  end
  if #parts == 0 then return "{}" end
  return "{\n" .. table.concat(parts, ",\n") .. "\n" .. indent .. "}"
end

local function encode_array(array, indent)
  local deeper, parts = indent .. "  ", {}
  for i, value in ipairs(array) do parts[i] = encode(value, deeper) end
  if type(array[1]) ~= "table" then return "[" .. table.concat(parts, ", ") .. "]" end
  return "[\n" .. deeper .. table.concat(parts, ",\n" .. deeper) .. "\n" .. indent .. "]"
end

encode = function(value, indent)
  if type(value) == "string" then return quote(value) end
  if type(value) == "number" then return ("%.14g"):format(value) end
  if type(value) == "boolean" then return tostring(value) end
  return (#value > 0 and encode_array or encode_object)(value, indent)
end

---Tables with a first element are arrays, all others objects.
---@param value table|string|number|boolean
---@return string
function json.encode(value) return encode(value, "") end

return json
