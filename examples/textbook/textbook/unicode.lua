-- unicode: what the other rooms need to know about UTF-8: whether bytes are
-- UTF-8 at all, lower case, and how wide a text is drawn. It knows no words,
-- no Markdown and no files.
--
-- It uses patterns on bytes rather than Lua 5.4's utf8 library, so that the
-- rooms above can be tested on LuaJIT too.

local unicode = {}

local byte, char, find, floor = string.byte, string.char, string.find, math.floor

--- One UTF-8 character of a text known to be valid.
unicode.CHARACTER = "[%z\1-\127\194-\244][\128-\191]*"

--- Sentence ends and punctuation of Chinese and Japanese are three bytes each.
unicode.WIDE = "[\227-\237][\128-\191][\128-\191]"

---Whether the sequence starting at 'at' is well formed, and its length.
local function sequence_length(text, at)
  local first, second, third, fourth = byte(text, at, at + 3)
  local function continues(value) return value and value >= 128 and value <= 191 end
  if first >= 194 and first <= 223 then
    return continues(second) and 2
  elseif first >= 224 and first <= 239 then
    if not (continues(second) and continues(third)) then return nil end
    local overlong = first == 224 and second < 160
    local surrogate = first == 237 and second > 159
    return not overlong and not surrogate and 3
  elseif first >= 240 and first <= 244 then
    if not (continues(second) and continues(third) and continues(fourth)) then
      return nil
    end
    local overlong = first == 240 and second < 144
    local beyond = first == 244 and second > 143
    return not overlong and not beyond and 4
  end
end

---The position of the first byte that is not UTF-8, or nil if all of it is.
---@param text string
---@return integer?
function unicode.invalid_at(text)
  local at = find(text, "[\128-\255]")
  while at do
    local length = sequence_length(text, at)
    if not length then return at end
    at = find(text, "[\128-\255]", at + length)
  end
end

local function encode(code)
  if code < 128 then return char(code) end
  return char(192 + floor(code / 64), 128 + code % 64)
end

-- Upper to lower case beyond ASCII: Latin-1, Latin Extended-A, Greek and
-- Cyrillic, which is every two-byte alphabet with a regular case.
local LOWER = {}
do
  local function range(first, last, distance, step)
    for code = first, last, step or 1 do
      LOWER[encode(code)] = encode(code + distance)
    end
  end
  range(0xC0, 0xD6, 32)
  range(0xD8, 0xDE, 32)
  range(0x100, 0x12E, 1, 2)
  range(0x132, 0x136, 1, 2)
  range(0x139, 0x147, 1, 2)
  range(0x14A, 0x176, 1, 2)
  range(0x178, 0x178, 0xFF - 0x178)
  range(0x179, 0x17D, 1, 2)
  range(0x386, 0x386, 38)
  range(0x388, 0x38A, 37)
  range(0x38C, 0x38C, 64)
  range(0x38E, 0x38F, 63)
  range(0x391, 0x3A1, 32)
  range(0x3A3, 0x3AB, 32)
  range(0x400, 0x40F, 80)
  range(0x410, 0x42F, 32)
end

local UPPER = {}
for upper, lower in pairs(LOWER) do UPPER[lower] = upper end

---@param text string
---@return string
function unicode.lower(text)
  text = text:lower()
  if not find(text, "[\195-\208]") then return text end
  return (text:gsub("[\195-\208][\128-\191]", LOWER))
end

---The text with its first letter in upper case.
---@param text string
---@return string
function unicode.capitalized(text)
  local first = text:match("^" .. unicode.CHARACTER) or ""
  return (UPPER[first] or first:upper()) .. text:sub(#first + 1)
end

---The text with its first letter in lower case, unless it begins with a name in
---capitals ("HTML") or with a camel ("iPhone", "LuaJIT").
---@param text string
---@return string
function unicode.uncapitalized(text)
  local first = text:match("^" .. unicode.CHARACTER) or ""
  local rest = text:sub(#first + 1)
  if find(rest, "^[^%s]*%u") then return text end
  return unicode.lower(first) .. rest
end

---Whether the text ends with one of the strings: a pattern's [...] is a set of
---bytes, and would take half of a character for the whole.
---@param text string
---@param endings string[]
---@return string? ending
function unicode.ending(text, endings)
  for _, ending in ipairs(endings) do
    if text:sub(-#ending) == ending then return ending end
  end
end

---Whether the text starts with a lower-case letter.
---@param text string
---@return boolean
function unicode.starts_lower(text)
  if find(text, "^%l") then return true end
  local first = text:match("^[\195-\209][\128-\191]")
  return first ~= nil and UPPER[first] ~= nil
end

-- Advance widths of a common sans-serif face, in thousandths of its size.
local NARROW, SLIM, BROAD = "[!'|,.:;ijlI`]", "[ frt()%[%]{}*\"/\\-]", "[mwMW@%%]"

local function character_width(character)
  if #character == 1 then
    if find(character, NARROW) then return 290 end
    if find(character, SLIM) then return 370 end
    if find(character, BROAD) then return 900 end
    return find(character, "%u") and 700 or 570
  end
  return find(character, "^" .. unicode.WIDE .. "$") and 1000 or 620
end

---The text itself, or with "?" for every byte beyond ASCII if it is not UTF-8:
---the name of a file may be any bytes.
---@param text string
---@return string
function unicode.printable(text)
  if not unicode.invalid_at(text) then return text end
  return (text:gsub("[\128-\255]", "?"))
end

---The text, shortened to so many characters.
---@param text string
---@param most integer
---@return string
function unicode.shortened(text, most)
  if #text <= most or unicode.length(text) <= most then return text end
  local kept = {}
  for character in text:gmatch(unicode.CHARACTER) do
    kept[#kept + 1] = character
    if #kept == most - 1 then break end
  end
  return table.concat(kept):gsub("%s+$", "") .. "…"
end

---About how wide the text is when drawn in a sans-serif face of that size.
---@param text string
---@param size number
---@return number
function unicode.drawn_width(text, size)
  local width = 0
  for character in text:gmatch(unicode.CHARACTER) do
    width = width + character_width(character)
  end
  return width * size / 1000
end

---How many characters the text has.
---@param text string
---@return integer
function unicode.length(text)
  local _, continuation = text:gsub("[\128-\191]", "")
  return #text - continuation
end

return unicode
