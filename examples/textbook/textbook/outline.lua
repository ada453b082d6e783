-- outline: the headings of a document in order, each with the blocks that stand
-- below it. Plain text has headings too, if one knows how they look. It knows no
-- sections: what is made of the headings is not its matter.

local inline = require "textbook.inline"
local set = require "textbook.set"
local unicode = require "textbook.unicode"
local words = require "textbook.words"

local outline = {}

---@class textbook.Entry a heading
---@field title string as plain text
---@field level integer
---@field line integer where it stands in the source
---@field blocks textbook.Block[] up to the next heading
---@field words integer of these blocks
---@field derived boolean? made from the text, which had no such heading
---@field section integer? the section it became a part of

---@class textbook.Outline
---@field title string
---@field lead textbook.Block[] what stands above the first heading
---@field entries textbook.Entry[] all headings below the title, in order

-- The words of a chapter heading in a plain text.
local CHAPTER = { chapter = 1, book = 1, part = 1, kapitel = 1, teil = 1, act = 1,
                  section = 2, abschnitt = 2, scene = 2, lecture = 1, appendix = 1 }

-- The level of a line of plain text that looks like a heading, or nil.
local function plain_level(text)
  if #text > 70 or text:find("[!?:;,]$") then return nil end
  local word, after = text:match("^(%a+)%s+[%dIVXLC]+%f[^%w](.?)")
  if word and after ~= "," and CHAPTER[word:lower()] then return CHAPTER[word:lower()] end
  local number, rest = text:match("^(%d[%d.]*)%s+(%u.*)$")
  if number and rest:find("%.%s") then return nil end
  if not number and text:find("[^%d]%.$") then return nil end
  if number then
    local _, dots = number:gsub("%.%d", "")
    return dots + 1
  end
  if text:find("^[IVXLC]+%.?$") or text:find("^[IVXLC]+%.%s+%u") then return 2 end
  local capitals = text:find("%u%u%u") and not text:find("%l")
  return capitals and 2 or nil
end

-- "A TALE OF TWO CITIES" reads "A Tale of Two Cities"; "CHAPTER IV" keeps its IV.
local function without_capitals(text)
  if text:find("%l") then return text end
  local quiet = unicode.lower(text):gsub("[%a\128-\255][%a'\128-\255]*", function(word)
    if word:find("^[ivx]+$") then return word:upper() end
    if words.is_stop(word) then return word end
    return unicode.capitalized(word)
  end)
  return unicode.capitalized(quiet)
end

---Turns the lone lines of a plain text that look like headings into headings, if
---there are enough of them to be the text's way of dividing itself. "CHAPTER I"
---and the line of capitals below it are one. Texts with headings stay as they are.
---@param blocks textbook.Block[]
---@return textbook.Block[]
function outline.with_plain_headings(blocks)
  local found = 0
  local levels = {}
  for index, block in ipairs(blocks) do
    if block.kind == "heading" then return blocks end
    levels[index] = block.kind == "paragraph" and block.alone and plain_level(block.text)
    if levels[index] then found = found + 1 end
  end
  if found < 3 then return blocks end
  local marked, index = {}, 1
  while index <= #blocks do
    local block, level = blocks[index], levels[index]
    if level then
      block.kind, block.level = "heading", level
      block.text = without_capitals(block.text):gsub("(%w%w)%.$", "%1")
      local below = levels[index + 1] and blocks[index + 1]
      if level == 1 and below and levels[index + 1] > 1 and #block.text < 24 then
        block.text = block.text:gsub("%.$", "") .. ": " .. without_capitals(below.text)
        index = index + 1
      end
    end
    marked[#marked + 1] = block
    index = index + 1
  end
  return marked
end

-- "3.1 Reading", "3. Reading": the chapter numbers its sections itself.
local function unnumbered(title)
  local rest = title:match("^%d+[.)]%s+(%S.*)$") or
               title:match("^%d+%.%d[%d.]*%s+(%S.*)$") or
               title:match("^§+%s*%d[%d.]*%s+(%S.*)$")
  return rest or title
end

local function new_entry(title, level, line)
  return { title = title, level = level, line = line, blocks = {}, words = 0 }
end

local function add_block(entry, block)
  entry.blocks[#entry.blocks + 1] = block
  entry.words = entry.words + block.words
end

-- What stands above the first heading, and the headings with what is below.
local function read_entries(blocks, references)
  local lead, entries = new_entry("", 0, 1), {}
  local current = lead
  for _, block in ipairs(blocks) do
    if block.kind == "heading" then
      local title = unnumbered(inline.plain(block.text, references))
      current = new_entry(title == "" and "Untitled" or title, block.level, block.line)
      entries[#entries + 1] = current
    else
      add_block(current, block)
    end
  end
  return lead, entries
end

---Entries cut into runs: a run is a heading with all those below its level.
---@param entries textbook.Entry[]
---@param from integer?
---@return textbook.Entry[][]
function outline.runs(entries, from)
  local runs = {}
  for index = from or 1, #entries do
    local entry, run = entries[index], runs[#runs]
    if run and entry.level > run[1].level then
      run[#run + 1] = entry
    else
      runs[#runs + 1] = { entry }
    end
  end
  return runs
end

-- "shared_memory.md" reads "Shared memory".
local function title_from_path(path)
  local name = path:match("([^/]+)$") or path
  name = name:gsub("(.)%.%w+$", "%1"):gsub("[_-]+", " ")
  return name:find("%w") and unicode.capitalized(name) or "Untitled"
end

local FIRST_CHAPTER = set [[introduction preface abstract overview foreword summary contents
  einleitung vorwort]]

-- Whether the first heading is the document's title rather than a section: it
-- stands above all others; or it stands first of all, though the author gave
-- the chapters the same level, and does not sound like a chapter.
local function is_title(entries, lead, title)
  if #outline.runs(entries) == 1 then return lead.words < 150 or #entries > 1 end
  if title or #entries == 0 or lead.words > 0 or entries[1].level > 1 then
    return false
  end
  local word = unicode.lower(entries[1].title):match("^%S+")
  return not (FIRST_CHAPTER[word] or CHAPTER[word] or word:find("^[%divxlc]+[.:]?$"))
end

---The outline of a document.
---The blocks must have been read (see prose).
---@param document { blocks: textbook.Block[], references: table<string, string>,
---  title: string?, path: string }
---@return textbook.Outline
function outline.build(document)
  local lead, entries = read_entries(document.blocks, document.references)
  local title = document.title
  if is_title(entries, lead, title) then
    local head = table.remove(entries, 1)
    title = title or head.title
    for _, block in ipairs(head.blocks) do add_block(lead, block) end
  end
  return { title = title or title_from_path(document.path), lead = lead.blocks,
           entries = entries }
end

---An entry for a stretch of text that has no heading of its own.
---@param title string
---@param blocks textbook.Block[]
---@return textbook.Entry
function outline.derived(title, blocks)
  local entry = new_entry(title, 1, blocks[1] and blocks[1].line or 1)
  entry.derived = true
  for _, block in ipairs(blocks) do add_block(entry, block) end
  return entry
end

return outline
