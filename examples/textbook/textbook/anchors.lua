-- anchors: the names by which links reach a heading, as GitHub and most other
-- renderers of Markdown make them: lower case, no punctuation, hyphens for
-- spaces, and a number for the second one of a name.

local unicode = require "textbook.unicode"

local anchors = {}

-- Punctuation beyond ASCII: of Latin-1, of U+2000-206F, of CJK, of full width.
local PUNCTUATION = { "\194[\161-\169\171-\180\182-\185\187-\191]",
  "\226[\128\129][\128-\191]", "\227\128[\129-\191]", "\239\188[\129-\143\154-\160]",
  "\239\189[\155-\165]" }

---The anchor of a heading, before its number.
---@param title string plain text
---@return string
function anchors.slug(title)
  local slug = unicode.lower(title)
  for _, pattern in ipairs(PUNCTUATION) do slug = slug:gsub(pattern, "") end
  return (slug:gsub("[^%w%s_\128-\255-]", ""):gsub("%s", "-"))
end

---A function that gives each heading of one document its anchor, in order.
---@return fun(title: string): string
function anchors.namer()
  local taken = {}
  return function(title)
    local slug = anchors.slug(title)
    local name, number = slug, 0
    while taken[name] do
      number = number + 1
      name = slug .. "-" .. number
    end
    taken[name] = true
    return name
  end
end

return anchors
