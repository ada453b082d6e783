-- markdown: a text as a list of blocks: headings, paragraphs, lists, code,
-- quotes, tables. Plain text passes through the same door. It keeps what a
-- chapter can use and drops the rest (HTML, rules, footnotes). It knows no
-- sentences.

local inline = require "textbook.inline"

local markdown = {}

---@class textbook.Item an item of a list
---@field marker string "-" or "1."
---@field depth integer 0 at the outermost level
---@field text string
---@field code string[]? lines of fenced code that belong to it

---@class textbook.Block
---@field kind "heading"|"paragraph"|"list"|"code"|"quote"|"table"
---@field line integer where it starts in the source
---@field text string? of a heading, paragraph or quote: its lines as one
---@field level integer? of a heading
---@field items textbook.Item[]? of a list
---@field lines string[]? of code and of a table, as they stand
---@field language string? of code
---@field alone boolean? a paragraph of a single line

---@class textbook.Parse one pass over the lines
---@field lines string[]
---@field at integer the line that is looked at
---@field blocks textbook.Block[]
---@field references table<string, string>
---@field plain boolean?

-- A line that long is a paragraph by itself, not a piece of a wrapped one.
local LONG_LINE = 200

local function is_blank(line) return not line or not line:find("%S") end

local function is_rule(line)
  local squeezed = line:gsub("%s", "")
  return #squeezed >= 3 and (squeezed:find("^%-+$") or squeezed:find("^%*+$") or
                             squeezed:find("^_+$")) ~= nil
end

local function fence_of(line)
  local indent, fence, info = line:match("^( *)(```+)([^`]*)$")
  if not fence then indent, fence, info = line:match("^( *)(~~~+)(.*)$") end
  return fence, info, indent
end

local function item_of(line)
  local indent, marker, text = line:match("^(%s*)([-*+])%s+(%S.*)$")
  if marker then return not is_rule(line) and indent or nil, "-", text end
  indent, marker, text = line:match("^(%s*)(%d%d?%d?)[.)]%s+(%S.*)$")
  return indent, marker and tonumber(marker) .. ".", text
end

-- Chinese and Japanese lines join without a space.
local function joined(lines)
  local text = table.concat(lines, " ")
  if not text:find("[\227-\237]") then return text end
  local wide = "([\227-\237\239][\128-\191][\128-\191])"
  return (text:gsub(wide .. " %f[\227-\239]", "%1"))
end

local function trimmed(text) return (text:gsub("^%s+", ""):gsub("%s+$", "")) end

local function add(parse, block)
  parse.blocks[#parse.blocks + 1] = block
  return true
end

-- Each reader looks at the current line and returns true if it took it.
local readers = {}

function readers.code(parse)
  local lines, at = parse.lines, parse.at
  local fence, info, indent = fence_of(lines[at])
  if not fence then return false end
  local code = { kind = "code", line = at, lines = {},
                 language = info:match("[%w+#_-]+") }
  local closing = "^ *" .. fence:sub(1, 1):rep(#fence) .. "+%s*$"
  at = at + 1
  while lines[at] and not lines[at]:find(closing) do
    code.lines[#code.lines + 1] = lines[at]:gsub("^" .. (" ?"):rep(#indent), "")
    at = at + 1
  end
  parse.at = at + 1
  return add(parse, code)
end

function readers.indented_code(parse)
  local lines, at = parse.lines, parse.at
  if parse.plain or not lines[at]:find("^    ") and not lines[at]:find("^\t") then
    return false
  end
  local code, pending = { kind = "code", line = at, lines = {} }, 0
  while lines[at] and (is_blank(lines[at]) or lines[at]:find("^    ")
                       or lines[at]:find("^\t")) do
    if is_blank(lines[at]) then
      pending = pending + 1
    else
      for _ = 1, pending do code.lines[#code.lines + 1] = "" end
      pending = 0
      code.lines[#code.lines + 1] = lines[at]:gsub("^\t", ""):gsub("^    ", "")
    end
    at = at + 1
  end
  parse.at = at - pending
  return add(parse, code)
end

function readers.heading(parse)
  local line = parse.lines[parse.at]
  local marks, text = line:match("^ ? ? ?(#+)%s+(.-)%s*$")
  local level = marks and #marks
  if not level then
    level, text = line:match("^%s*<[hH]([1-6])[^<>]*>(.-)</[hH]%d>%s*$")
    level = tonumber(level)
  end
  if not level or level > 6 then return false end
  parse.at = parse.at + 1
  text = text:gsub("%s+#+$", ""):gsub("^#+$", ""):gsub("%s*{#[^{}]*}$", "")
  return text == "" or add(parse, { kind = "heading", line = parse.at - 1,
    level = level, text = trimmed(text) })
end

function readers.rule(parse)
  if not is_rule(parse.lines[parse.at]) then return false end
  parse.at = parse.at + 1
  return true
end

function readers.reference(parse)
  local line = parse.lines[parse.at]
  if line:find("^ ? ? ?%[%^[^%]]+%]:") then           -- a footnote, with its text
    repeat parse.at = parse.at + 1
    until is_blank(parse.lines[parse.at])
    return true
  end
  local label, target = line:match("^ ? ? ?%[([^%[%]]+)%]:%s*<?(%S+)")
  if not label then return false end
  parse.references[label:lower()] = target:gsub(">$", "")
  parse.at = parse.at + 1
  return true
end

function readers.html(parse)
  local lines, at = parse.lines, parse.at
  if parse.plain or not lines[at]:find("^ ? ? ?<[/!%a]") then return false end
  if lines[at]:find("^%s*<%a[%w+.-]*:") then return false end  -- <https://...>
  if lines[at]:find("^%s*<!%-%-") then
    while lines[at] and not lines[at]:find("-->", 1, true) do at = at + 1 end
    parse.at = at + 1
    return true
  end
  local inline_tag = lines[at]:match("^%s*</?(%a+)")
  if inline_tag and ("a b i em strong code kbd sup sub span"):find(inline_tag, 1, true)
     and lines[at]:find(">[^<]*%a") then
    return false
  end
  while not is_blank(lines[at]) do at = at + 1 end
  parse.at = at
  return true
end

function readers.quote(parse)
  local lines, at = parse.lines, parse.at
  if not lines[at]:find("^ ? ? ?>") then return false end
  local quote = {}
  while not is_blank(lines[at]) and lines[at]:find("^ ? ? ?>") do
    local text = trimmed((lines[at]:gsub("^%s*[>%s]+", "")))
    if not text:find("^%[!%u+%]$") then quote[#quote + 1] = text end
    at = at + 1
  end
  local block = { kind = "quote", line = parse.at, text = trimmed(joined(quote)) }
  parse.at = at
  return block.text == "" or add(parse, block)
end

function readers.table(parse)
  local lines, at = parse.lines, parse.at
  local second = lines[at + 1]
  if not (lines[at]:find("|", 1, true) and second and second:find("^[%s|:-]+$")
          and second:find("%-") and second:find("|", 1, true)) then
    return false
  end
  local block = { kind = "table", line = at, lines = {} }
  while not is_blank(lines[at]) and lines[at]:find("|", 1, true) do
    block.lines[#block.lines + 1] = trimmed(lines[at])
    at = at + 1
  end
  parse.at = at
  return add(parse, block)
end

-- Fenced code inside an item goes with the item.
local function take_item_code(parse, item)
  local fence = fence_of(parse.lines[parse.at])
  local closing = "^%s*" .. fence:sub(1, 1):rep(#fence) .. "+%s*$"
  item.code = item.code or {}
  repeat
    item.code[#item.code + 1] = parse.lines[parse.at]
    parse.at = parse.at + 1
    local line = parse.lines[parse.at]
  until not line or line:find(closing)
  item.code[#item.code + 1] = fence
  parse.at = parse.at + 1
end

-- How deep an item lies: the indents of the items that enclose it are kept.
local function depth_of(indents, indent)
  local width = #indent:gsub("\t", "    ")
  while #indents > 0 and indents[#indents] >= width do indents[#indents] = nil end
  indents[#indents + 1] = width
  return #indents - 1
end

function readers.list(parse)
  local indent, marker, text = item_of(parse.lines[parse.at])
  if not indent then return false end
  -- "3. Conveying" alone is rather a heading, in a text that knows no others.
  if parse.plain and marker ~= "-" and is_blank(parse.lines[parse.at + 1]) then
    return false
  end
  local block = { kind = "list", line = parse.at, items = {} }
  local indents, parts, item = {}, nil, nil
  while true do
    if marker then
      item = { marker = marker, depth = depth_of(indents, indent), text = "" }
      parts = { text }
      block.items[#block.items + 1] = item
    else
      parts[#parts + 1] = trimmed(parse.lines[parse.at])
    end
    item.text = parts
    parse.at = parse.at + 1
    local line, below = parse.lines[parse.at], parse.lines[parse.at + 1]
    local blank = is_blank(line)
    local indented = below and not parse.plain and below:find("^%s%s+%S")
    if blank and below and (item_of(below) or indented) then
      parse.at = parse.at + 1
      line = below
    elseif blank then
      break
    end
    if fence_of(line) and line:find("^%s%s") then
      take_item_code(parse, item)
      line = parse.lines[parse.at]
      if is_blank(line) then break end
    end
    if line:find("^#+%s") or fence_of(line) or is_rule(line) then break end
    indent, marker, text = item_of(line)
  end
  for _, each in ipairs(block.items) do each.text = joined(each.text) end
  return add(parse, block)
end

-- Whether the line puts an end to the paragraph above it. A number does so only
-- at 1: "in the year / 1986. It was" is prose.
local function interrupts(parse, line)
  if is_blank(line) or line:find("^ ? ? ?#+%s") or fence_of(line) then return true end
  if line:find("^ ? ? ?>") then return true end
  local indent, marker = item_of(line)
  return indent ~= nil and (marker == "-" or marker == "1.") and not parse.plain
end

function readers.paragraph(parse)
  local lines, first = parse.lines, parse.at
  local taken = {}
  repeat
    local line = lines[parse.at]
    taken[#taken + 1] = trimmed(line)
    parse.at = parse.at + 1
    local below = lines[parse.at] or ""
    local underline = below:match("^ ? ? ?(=+)%s*$") or below:match("^ ? ? ?(%-%-+)%s*$")
    if underline and #table.concat(taken, " ") <= LONG_LINE then
      parse.at = parse.at + 1
      return add(parse, { kind = "heading", line = first, text = joined(taken),
        level = underline:sub(1, 1) == "=" and 1 or 2 })
    end
    local own = #line > LONG_LINE and line:find("%p[*_\"]*%s*$")
  until own or interrupts(parse, below)
  local text = joined(taken)
  local visible = inline.plain(text, parse.references)
  return visible == "" or add(parse, { kind = "paragraph", line = first, text = text,
    alone = #taken == 1 })
end

local ORDER = { readers.code, readers.heading, readers.rule, readers.reference,
  readers.html, readers.quote, readers.table, readers.indented_code, readers.list,
  readers.paragraph }

---Whether the text is written in Markdown, as far as its lines tell.
---@param text string
---@return boolean
function markdown.is_markdown(text)
  return ("\n" .. text):find("\n ? ? ?#+ %S") ~= nil
      or ("\n" .. text):find("\n```") ~= nil
      or text:find("%]%(https?://") ~= nil
end

---The blocks of a text, and the targets its links by reference lead to.
---@param text string lines ended by "\n"
---@param plain boolean? no Markdown: indented text is not code, "<" not HTML
---@return textbook.Block[] blocks
---@return table<string, string> references
function markdown.parse(text, plain)
  local parse = { lines = {}, at = 1, blocks = {}, references = {}, plain = plain }
  for line in text:gmatch("([^\n]*)\n") do parse.lines[#parse.lines + 1] = line end
  while parse.at <= #parse.lines do
    if is_blank(parse.lines[parse.at]) then
      parse.at = parse.at + 1
    else
      for _, read in ipairs(ORDER) do
        if read(parse) then break end
      end
    end
  end
  return parse.blocks, parse.references
end

return markdown
