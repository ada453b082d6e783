-- Tells whether bytes are UTF-8, strictly: no overlong forms, no surrogates,
-- nothing above U+10FFFF. Written apart from the module, to judge it.

local utf8_text = {}

-- Lead byte range, then the ranges of the bytes that follow.
local FORMS = {
  { { 0x00, 0x7F } },
  { { 0xC2, 0xDF }, { 0x80, 0xBF } },
  { { 0xE0, 0xE0 }, { 0xA0, 0xBF }, { 0x80, 0xBF } },
  { { 0xE1, 0xEC }, { 0x80, 0xBF }, { 0x80, 0xBF } },
  { { 0xED, 0xED }, { 0x80, 0x9F }, { 0x80, 0xBF } },
  { { 0xEE, 0xEF }, { 0x80, 0xBF }, { 0x80, 0xBF } },
  { { 0xF0, 0xF0 }, { 0x90, 0xBF }, { 0x80, 0xBF }, { 0x80, 0xBF } },
  { { 0xF1, 0xF3 }, { 0x80, 0xBF }, { 0x80, 0xBF }, { 0x80, 0xBF } },
  { { 0xF4, 0xF4 }, { 0x80, 0x8F }, { 0x80, 0xBF }, { 0x80, 0xBF } },
}

local function has_form(text, at, form)
  for index, range in ipairs(form) do
    local byte = text:byte(at + index - 1)
    if not byte or byte < range[1] or byte > range[2] then return false end
  end
  return true
end

local function character_length(text, at)
  for _, form in ipairs(FORMS) do
    if has_form(text, at, form) then return #form end
  end
  return nil
end

---@param text string
---@return boolean
function utf8_text.is_valid(text)
  local at = 1
  while at <= #text do
    local length = character_length(text, at)
    if not length then return false end
    at = at + length
  end
  return true
end

return utf8_text
