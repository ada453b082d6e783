-- inline: what Markdown hides inside a line: code, links, images, footnote
-- marks, HTML. It finds them in one pass and can then show the line as plain
-- text, as Markdown that stands on its own in another document, or masked, so
-- that a search does not stumble over them. It knows no blocks.

local inline = {}

local find, sub = string.find, string.sub

---@class textbook.Span a stretch of a line with a meaning of its own
---@field kind "code"|"link"|"image"|"footnote"|"html"|"address"|"escape"
---@field first integer first byte
---@field last integer last byte
---@field text_first integer? first byte of its visible text
---@field text_last integer? last byte of its visible text
---@field target string? where a link or image leads
---@field label string? the label of a link by reference

-- A link's target or label is looked for in this many bytes, so that a line of
-- a million brackets is still read in one pass.
local REACH = 2000

-- "(target "title")" or "[label]" right after a "]" at 'at'.
local function read_destination(text, at, last)
  local opener = sub(text, at + 1, at + 1)
  if opener == "(" then
    local window = sub(text, at + 1, math.min(at + REACH, last))
    local body = window:match("^%b()")
    if not body then return nil end
    local target = body:sub(2, -2):match("^%s*<([^<>]*)>") or
                   body:sub(2, -2):match("^%s*(%S*)")
    return at + #body, target
  elseif opener == "[" then
    local window = sub(text, at + 1, math.min(at + REACH, last))
    local label = window:match("^%[([^%[%]]*)%]")
    if label then return at + #label + 2, nil, label end
  end
end

---@class textbook.Scan the state of one pass over a line
---@field text string
---@field last integer
---@field spans textbook.Span[]
---@field open integer[] positions of "[" that wait for their "]"
---@field unclosed table<string, boolean> openers known to have no end

local readers = {}

readers["\\"] = function(scan, at)
  if find(scan.text, "^%p", at + 1) then
    scan.spans[#scan.spans + 1] = { kind = "escape", first = at, last = at + 1,
      text_first = at + 1, text_last = at + 1 }
  end
  return at + 2
end

readers["`"] = function(scan, at)
  local run = scan.text:match("^`+", at)
  local after = at + #run
  if scan.unclosed[run] then return after end
  local from = after
  while true do
    local first, stop = find(scan.text, "`+", from)
    if not first or stop > scan.last then
      scan.unclosed[run] = true
      return after
    end
    if stop - first + 1 == #run then
      scan.spans[#scan.spans + 1] = { kind = "code", first = at, last = stop,
        text_first = after, text_last = first - 1 }
      return stop + 1
    end
    from = stop + 1
  end
end

readers["["] = function(scan, at)
  scan.open[#scan.open + 1] = at
  return at + 1
end

-- A "]" that makes a link: what was found inside belongs to it.
local function close_link(scan, span)
  local spans = scan.spans
  while #spans > 0 and spans[#spans].first > span.first do spans[#spans] = nil end
  spans[#spans + 1] = span
  return span.last + 1
end

readers["]"] = function(scan, at)
  local from = table.remove(scan.open)
  if not from then return at + 1 end
  local text = scan.text
  if sub(text, from + 1, from + 1) == "^" then
    return close_link(scan, { kind = "footnote", first = from, last = at })
  end
  local image = from > 1 and sub(text, from - 1, from - 1) == "!"
  local span = { kind = image and "image" or "link", first = image and from - 1 or from,
                 text_first = from + 1, text_last = at - 1 }
  local stop, target, label = read_destination(text, at, scan.last)
  if stop then
    if label == "" then label = sub(text, from + 1, at - 1) end
    span.last, span.target, span.label = stop, target, label
    return close_link(scan, span)
  end
  span.last, span.label, span.shortcut = at, sub(text, from + 1, at - 1), true
  if scan.references[span.label:lower()] then return close_link(scan, span) end
  return at + 1
end

readers["<"] = function(scan, at)
  local text, spans = scan.text, scan.spans
  local address = text:match("^<(%a[%w+.-]*:[^%s<>]*)>", at)
  if address then
    local stop = at + #address + 1
    spans[#spans + 1] = { kind = "address", first = at, last = stop,
      text_first = at + 1, text_last = stop - 1, target = address }
    return stop + 1
  end
  local stop
  if sub(text, at, at + 3) == "<!--" then
    if not scan.unclosed["<!--"] then
      stop = select(2, find(text, "-->", at + 4, true))
      if not stop then scan.unclosed["<!--"] = true end
    end
  else
    stop = select(2, find(text, "^</?%a[%w-]*[^<>]*>", at))
  end
  if not stop then return at + 1 end
  spans[#spans + 1] = { kind = "html", first = at, last = stop }
  return stop + 1
end

---The outermost spans of a line, in order.
---@param text string
---@param references table<string, string>? targets of links by reference
---@return textbook.Span[]
function inline.spans(text, references)
  local scan = { text = text, last = #text, spans = {}, open = {}, unclosed = {},
                 references = references or {} }
  local at = find(text, "[\\`%[%]<]")
  while at do
    local after = readers[sub(text, at, at)](scan, at)
    at = find(text, "[\\`%[%]<]", after)
  end
  return scan.spans
end

---Puts a text together from what lies between the spans and, in their places,
---from what 'shown' makes of them.
local function rewritten(text, spans, shown)
  if #spans == 0 then return text end
  local pieces, at = {}, 1
  for _, span in ipairs(spans) do
    pieces[#pieces + 1] = sub(text, at, span.first - 1)
    pieces[#pieces + 1] = shown(span)
    at = span.last + 1
  end
  pieces[#pieces + 1] = sub(text, at)
  return table.concat(pieces)
end

local function visible(text, span)
  return span.text_first and sub(text, span.text_first, span.text_last) or ""
end

local ENTITIES = { amp = "&", lt = "<", gt = ">", quot = '"', apos = "'", nbsp = " ",
  mdash = "—", ndash = "–", hellip = "…", copy = "©", times = "×", rarr = "→" }

-- Emphasis marks: runs of * anywhere beside a letter, of _ and ~~ at its edges.
local function without_emphasis(text)
  if not find(text, "[*_~&]") then return text end
  text = text:gsub("%*+(%S)", "%1"):gsub("(%S)%*+", "%1"):gsub("~~", "")
  text = text:gsub("%f[%w_]_+([^%s_])", "%1"):gsub("([^%s_])_+%f[^%w_]", "%1")
  return (text:gsub("&(%a+);", ENTITIES))
end

-- Without any of these a line is plain.
local MARKS = "[\\`%[<*_~&]"

---The line as a reader hears it: no marks, no targets, no images.
---@param text string
---@param references table<string, string>?
---@return string
function inline.plain(text, references)
  if not find(text, MARKS) then
    return (text:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", ""))
  end
  local spans = inline.spans(text, references)
  local kept = {}
  local marked = rewritten(text, spans, function(span)
    if span.kind == "image" or span.kind == "footnote" or span.kind == "html" then
      return ""
    end
    local inner = visible(text, span)
    if span.kind == "link" then inner = inline.plain(inner) end
    kept[#kept + 1] = inner
    return "\1" .. #kept .. "\2"
  end)
  marked = without_emphasis(marked)
  if #kept > 0 then
    marked = marked:gsub("\1(%d+)\2", function(index) return kept[tonumber(index)] end)
  end
  return (marked:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", ""))
end

---Whether a target means the same from wherever it is followed.
---@param target string
---@return boolean
function inline.is_external(target)
  return find(target, "^https?://%S") ~= nil or find(target, "^mailto:%S+@%S+") ~= nil
end

local function standalone_link(text, span, references)
  local target = span.target
  if span.label then target = references[span.label:lower()] end
  local shown = visible(text, span)
  if span.label and not target then return sub(text, span.first, span.last) end
  shown = inline.standalone(shown, references)
  if not inline.is_external(target) or shown == "" then return shown end
  if find(target, "[()%s<>]") then target = target:gsub("[()%s<>]", function(mark)
    return ("%%%02X"):format(mark:byte())
  end) end
  return "[" .. shown .. "](" .. target .. ")"
end

-- How many of the marks open an emphasis and how many close one: an opening run
-- has a word after it and none before, a closing one the other way round.
local function unpaired(mask, mark)
  local open, at = 0, 1
  while true do
    local first, last = find(mask, "%" .. mark .. "+", at)
    if not first then return open ~= 0 end
    local after_word = first > 1 and not find(mask, "^%s", first - 1)
    local before_word = last < #mask and not find(mask, "^%s", last + 1)
    if after_word and before_word then
      after_word = not find(mask, "^%p", first - 1)
      before_word = not find(mask, "^%p", last + 1)
    end
    local length = last - first + 1
    if before_word and not after_word then open = open + length end
    if after_word and not before_word then open = open - length end
    at = last + 1
  end
end

-- A sentence taken out of a longer emphasis leaves half of its marks behind:
-- marks that do not pair up go.
local function balanced(text)
  if not find(text, "[*_`]") then return text end
  for _, mark in ipairs { "`", "*", "_" } do
    local mask = inline.masked(text)
    local stray = mark == "`" and find(mask, "`", 1, true) or unpaired(mask, mark)
    if stray then
      local kept = {}
      for at = 1, #text do
        if sub(mask, at, at) ~= mark then kept[#kept + 1] = sub(text, at, at) end
      end
      text = table.concat(kept)
    end
  end
  return text
end

---The line as Markdown that needs nothing beside it: links by reference are
---written out, links into the source become their text, and images, footnote
---marks and HTML go.
---@param text string
---@param references table<string, string>?
---@return string
function inline.standalone(text, references)
  if not find(text, MARKS) then return (text:gsub("  +", " ")) end
  references = references or {}
  local spans = inline.spans(text, references)
  local clean = rewritten(text, spans, function(span)
    if span.kind == "code" or span.kind == "escape" then
      return sub(text, span.first, span.last)
    end
    if span.kind == "address" then
      local target = span.target
      return inline.is_external(target) and sub(text, span.first, span.last) or target
    end
    return span.kind == "link" and standalone_link(text, span, references) or ""
  end)
  if #spans > 0 then clean = clean:gsub(" ([.,;:])", "%1") end
  if find(clean, "  ", 1, true) and not find(clean, "`", 1, true) then
    clean = clean:gsub("  +", " ")
  end
  return balanced((clean:gsub("^ +", ""):gsub(" +$", "")))
end

---The line with code, targets and HTML filled with capitals (a sentence may begin
---with them), byte for byte as long as it was.
---@param text string
---@param references table<string, string>?
---@return string
function inline.masked(text, references)
  local function filled(first, last) return ("X"):rep(last - first + 1) end
  return rewritten(text, inline.spans(text, references), function(span)
    if span.kind == "link" then
      -- A link may end a sentence, but not in its middle.
      local shown = visible(text, span):gsub("[.!?]%f[%s]", "X")
      return "X" .. shown .. filled(span.text_last + 1, span.last)
    end
    return filled(span.first, span.last)
  end)
end

return inline
