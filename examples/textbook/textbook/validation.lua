-- validation: reads a finished chapter as a stranger would, from its text alone,
-- and says what is wrong with it. It shares nothing with the rooms that wrote
-- it but the rules of Markdown and of anchors.

local anchors = require "textbook.anchors"
local inline = require "textbook.inline"
local unicode = require "textbook.unicode"
local words = require "textbook.words"

local validation = {}

---@class textbook.Heading
---@field level integer
---@field title string
---@field anchor string
---@field body string[] the lines below it, up to the next heading of any level

---@class textbook.Page a chapter taken apart
---@field headings textbook.Heading[]
---@field anchors table<string, integer> how often each anchor is there
---@field links { target: string, text: string, image: boolean }[]
---@field open_fence boolean

-- Lines of listings are neither headings nor links.
local function read_line(page, line, name)
  local marks, title = line:match("^(#+) (.+)$")
  if marks then
    local plain = inline.plain(title)
    local heading = { level = #marks, title = plain, anchor = name(plain), body = {} }
    page.headings[#page.headings + 1] = heading
    page.anchors[heading.anchor] = (page.anchors[heading.anchor] or 0) + 1
  elseif #page.headings > 0 and line:find("%S") then
    local body = page.headings[#page.headings].body
    body[#body + 1] = line
  end
  for id in line:gmatch('<a id="([^"]*)"') do
    page.anchors[id] = (page.anchors[id] or 0) + 1
  end
  for _, span in ipairs(inline.spans(line)) do
    if span.target then
      page.links[#page.links + 1] = { target = span.target, image = span.kind == "image",
        text = line:sub(span.text_first, span.text_last) }
    end
  end
end

---Takes a chapter apart.
---@param text string
---@return textbook.Page
function validation.read(text)
  local page = { headings = {}, anchors = {}, links = {}, open_fence = false }
  local name, fence = anchors.namer(), nil
  for line in (text .. "\n"):gmatch("([^\n]*)\n") do
    local run = line:match("^%s*(```+)") or line:match("^%s*(~~~+)")
    if fence then
      if run and run:sub(1, #fence) == fence and line:find("^%s*[`~]+%s*$") then
        fence = nil
      end
      local body = page.headings[#page.headings]
      if body then body.body[#body.body + 1] = line end
    elseif run then
      fence = run
    else
      read_line(page, line, name)
    end
  end
  page.open_fence = fence ~= nil
  return page
end

-- The sections by their number: "## 3. Title", and all lines below them.
local function numbered_sections(page)
  local sections, current = {}, nil
  for _, heading in ipairs(page.headings) do
    if heading.level <= 2 then
      local number, title = heading.title:match("^(%d+)%. (.+)$")
      current = number and { number = tonumber(number), title = title, lines = {} } or nil
      if current then sections[#sections + 1] = current end
    end
    if current then
      for _, line in ipairs(heading.body) do
        if not line:find("^%*Terms:%*") then current.lines[#current.lines + 1] = line end
      end
    end
  end
  return sections
end

-- A heading of the chapter's own; those of the source are numbered, or lower.
local function heading_named(page, title)
  for _, heading in ipairs(page.headings) do
    if heading.level == 2 and heading.title == title then return heading end
  end
end

---@class textbook.Product what is checked
---@field chapter string the chapter's text
---@field entries { title: string, section: integer? }[] the outline
---@field sections { number: integer, title: string }[]
---@field terms { term: string }[]
---@field figure_name string
---@field figure string? the figure's text
---@field has_file fun(path: string): boolean relative to the chapter's folder

local function check_sections(product, page, complain)
  local found = numbered_sections(page)
  if #found < 5 or #found > 8 then
    complain("the chapter has %d sections, not 5 to 8", #found)
  end
  local written = {}
  for position, section in ipairs(found) do
    written[section.number] = section
    if section.number ~= position then
      complain("section %d stands at place %d", section.number, position)
    end
    if not table.concat(section.lines, "\n"):find("[%w\128-\255]") then
      complain("section %d, “%s”, is empty", section.number, section.title)
    end
  end
  for _, section in ipairs(product.sections) do
    local there = written[section.number]
    if not there then
      complain("section %d, “%s”, is missing", section.number, section.title)
    elseif there.title ~= section.title then
      complain("section %d is called “%s”, not “%s”", section.number, there.title,
               section.title)
    end
  end
  for _, entry in ipairs(product.entries) do
    if not (entry.section and written[entry.section]) then
      complain("the outline's “%s” has no section", entry.title)
    end
  end
end

local function check_contents(product, page, complain)
  local contents = heading_named(page, "Contents")
  if not contents then return complain("there are no contents") end
  local listed = {}
  for _, line in ipairs(contents.body) do
    local target = line:match("%]%(#([^)]+)%)%s*$")
    if not target then
      complain("a line of the contents leads nowhere: %s", line)
    else
      listed[target] = true
    end
  end
  for _, section in ipairs(product.sections) do
    local heading = heading_named(page, section.number .. ". " .. section.title)
    if heading and not listed[heading.anchor] then
      complain("the contents do not list section %d, “%s”", section.number,
               section.title)
    end
  end
end

local function check_glossary(product, page, complain)
  local heading = heading_named(page, "Glossary")
  if not heading then return complain("there is no glossary") end
  if #product.terms == 0 then complain("the glossary has no terms") end
  local lines = {}
  for _, section in ipairs(numbered_sections(page)) do
    for _, line in ipairs(section.lines) do lines[#lines + 1] = inline.plain(line) end
  end
  local in_sections = words.terms(table.concat(lines, "\n"))
  local defined = {}
  for _, line in ipairs(heading.body) do
    local term, text = line:match('^<a id="[^"]+"></a>%*%*(.-)%*%*[^—]*— (.*)$')
    if term then defined[inline.plain(term)] = text end
  end
  for _, term in ipairs(product.terms) do
    local text = defined[term.term]
    if not text then
      complain("the glossary has no entry for “%s”", term.term)
    elseif words.count(inline.plain((text:gsub("%*%(.-%)%*%s*$", "")))) < 3 then
      complain("the glossary does not explain “%s”", term.term)
    end
    if words.occurrences(in_sections, term.term) == 0 then
      complain("the glossary's “%s” occurs in no section", term.term)
    end
  end
end

local function check_link(link, product, page, complain)
  local target = link.target
  if target:find("^#") then
    if not page.anchors[target:sub(2)] then
      complain("the link “%s” leads to %s, which is not there", link.text, target)
    end
  elseif target:find("^%a[%w+.-]*:") then
    if not inline.is_external(target) then
      complain("the link “%s” leads to %s, which is no address", link.text, target)
    end
  elseif target == "" or target:find("^/") or target:find("%.%.") then
    complain("the link “%s” leads out of the chapter's folder: “%s”", link.text,
             target)
  elseif not product.has_file(target) then
    complain("the link “%s” leads to the file %s, which is not there", link.text,
             target)
  end
end

local function check_links(product, page, complain)
  for _, link in ipairs(page.links) do check_link(link, product, page, complain) end
  for anchor, count in pairs(page.anchors) do
    if count > 1 then complain("%d places are called #%s", count, anchor) end
  end
end

-- XML enough for a figure: every element that opens closes, in order, and no
-- stray < or &.
local function xml_fault(text)
  local open, at = {}, 1
  text = text:gsub("<!%-%-.-%-%->", "")
  while true do
    local first, last, closing, name, attributes =
      text:find("<(/?)([%a][%w:-]*)([^<>]*)>", at)
    local between = text:sub(at, (first or 0) - 1)
    if between:find("<", 1, true) then return "a stray <" end
    if between:gsub("&#?%w+;", ""):find("&", 1, true) then return "a stray &" end
    if not first then break end
    if #open == 0 and at > 1 then return "something after its root element" end
    if closing == "/" then
      if table.remove(open) ~= name then return "</" .. name .. "> without its start" end
    else
      local rest = attributes:gsub('%s+[%a_:][%w:._-]*="[^"<]*"', "")
      if not rest:find("^%s*/?$") then return "bad attributes of <" .. name .. ">" end
      if rest:find("/$") == nil then open[#open + 1] = name end
    end
    at = last + 1
  end
  return #open > 0 and "<" .. open[#open] .. "> without its end" or nil
end

local function check_figure(product, page, complain)
  local shown = false
  for _, link in ipairs(page.links) do
    if link.image and link.target == product.figure_name then
      shown = true
      if not link.text:find("%w") then complain("the figure has no alternative text") end
    end
  end
  if not shown then complain("the chapter does not show its figure") end
  local svg = product.figure
  if not svg or not svg:find("^<svg ") then
    return complain("the figure is no SVG file")
  end
  local fault = xml_fault(svg)
  if fault then complain("the figure is not well-formed: %s", fault) end
  if not svg:find("<title[^>]*>[^<]+</title>") then
    complain("the figure has no title")
  end
  local desc = svg:match("<desc[^>]*>([^<]+)</desc>")
  if not desc then return complain("the figure has no description") end
  for _, section in ipairs(product.sections) do
    if not desc:find(section.number .. ", ", 1, true) then
      complain("the figure does not show section %d, “%s”", section.number,
               section.title)
    end
  end
end

local function check_text(product, page, complain)
  local invalid = unicode.invalid_at(product.chapter)
  if invalid then complain("the chapter is not UTF-8 at byte %d", invalid) end
  if page.open_fence then complain("a listing does not end") end
  if not page.headings[1] or page.headings[1].level ~= 1 then
    complain("the chapter does not begin with its title")
  end
end

---@class textbook.Check
---@field name string for people
---@field run fun(product: textbook.Product, page: textbook.Page, complain: function)

---The checks, in order.
---@type textbook.Check[]
validation.checks = {
  { name = "the text is whole", run = check_text },
  { name = "every outline entry has a section", run = check_sections },
  { name = "the contents list every section", run = check_contents },
  { name = "every glossary term occurs and is explained", run = check_glossary },
  { name = "every link resolves", run = check_links },
  { name = "the figure shows the chapter", run = check_figure },
}

---Everything that is wrong with the product; an empty list if nothing is.
---@param product textbook.Product
---@param before_check fun(position: integer, name: string)?
---@return string[]
function validation.problems(product, before_check)
  local page, problems = validation.read(product.chapter), {}
  local function complain(format, ...) problems[#problems + 1] = format:format(...) end
  for position, check in ipairs(validation.checks) do
    if before_check then before_check(position, check.name) end
    check.run(product, page, complain)
  end
  return problems
end

return validation
