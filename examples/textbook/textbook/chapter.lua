-- chapter: writes the condensed sections, the glossary and the figure's place
-- down as one Markdown document. It decides nothing about the content.

local anchors = require "textbook.anchors"
local inline = require "textbook.inline"
local sentences = require "textbook.sentences"
local unicode = require "textbook.unicode"

local chapter = {}

-- Sentences from several paragraphs run on as one up to about this many words.
local PARAGRAPH = 70

---A number for people: 12,345.
---@param number integer
---@return string
function chapter.grouped(number)
  local digits = ("%d"):format(number):reverse():gsub("(%d%d%d)", "%1,"):reverse()
  return (digits:gsub("^,", ""))
end

---Plain text as Markdown that shows just that.
---@param plain string
---@return string
function chapter.escaped(plain)
  local escaped = plain:gsub("[\\`*<>%[%]|]", "\\%0")
  return (escaped:gsub("%f[%w_]_", "\\_"):gsub("_%f[^%w_]", "\\_"))
end

-- A sentence at the start of a line must not turn into a heading or a list.
local function guarded(text)
  return (text:gsub("^([#>+-])", "\\%1"):gsub("^(%d+)([.)] )", "%1\\%2"))
end

local function sentence_gap(left) return sentences.ends_wide(left) and "" or " " end

local writers = {}

function writers.code(block)
  local longest = 2
  for _, line in ipairs(block.lines) do
    longest = math.max(longest, #(line:match("^%s*(`+)") or ""))
  end
  local fence = ("`"):rep(longest + 1)
  return fence .. (block.language or "") .. "\n" .. table.concat(block.lines, "\n")
         .. "\n" .. fence
end

function writers.table(block, references)
  local lines = {}
  for index, line in ipairs(block.lines) do
    lines[index] = inline.standalone(line, references)
  end
  return table.concat(lines, "\n")
end

function writers.quote(block) return "> " .. block.sentences[1].text end

function writers.list(block)
  local lines = {}
  local indents = {}
  for _, item in ipairs(block.items) do
    local indent = item.depth > 0 and indents[item.depth - 1] or ""
    indents[item.depth] = indent .. (" "):rep(#item.marker + 1)
    lines[#lines + 1] = indent .. item.marker .. " "
                        .. (item.sentence and item.sentence.text or "")
    for _, line in ipairs(item.code or {}) do
      lines[#lines + 1] = indents[item.depth] .. line:gsub("^%s+", "", 1)
    end
  end
  return table.concat(lines, "\n")
end

-- The kept pieces as Markdown blocks. Sentences run on as paragraphs, but not
-- across a list or a listing, nor across a subheading.
local function written_pieces(pieces, references)
  local blocks, line, size, paragraph = {}, {}, 0, nil
  local function flush()
    if #line > 0 then blocks[#blocks + 1] = guarded(table.concat(line)) end
    line, size = {}, 0
  end
  local items
  for _, piece in ipairs(pieces) do
    if piece.kind ~= "item" then items = nil end
    if piece.kind == "sentence" then
      if piece.paragraph ~= paragraph and size + piece.words > PARAGRAPH then flush() end
      if #line > 0 then line[#line + 1] = sentence_gap(line[#line]) end
      line[#line + 1] = piece.text
      size, paragraph = size + piece.words, piece.paragraph
    else
      flush()
      local text = piece.kind == "item" and "- " .. piece.text
                   or writers[piece.block.kind](piece.block, references)
      if items == piece.block then
        blocks[#blocks] = blocks[#blocks] .. "\n" .. text
      else
        blocks[#blocks + 1] = text
      end
      items = piece.kind == "item" and piece.block or nil
    end
  end
  flush()
  return blocks
end

---@class textbook.WrittenPart
---@field title string? its subheading, if it has one
---@field blocks string[]

---@class textbook.WrittenSection
---@field number integer
---@field title string
---@field parts textbook.WrittenPart[]
---@field words integer of what was kept
---@field source_words integer

-- Words of language: a listing or a table has none.
local function words_of(piece)
  if piece.kind ~= "block" then return piece.words end
  local count = 0
  for _, sentence in ipairs(piece.block.sentences) do count = count + sentence.words end
  return count
end

---The condensed section as Markdown blocks.
---@param section textbook.Section
---@param kept textbook.Piece[]
---@param references table<string, string>
---@return textbook.WrittenSection
function chapter.section(section, kept, references)
  local written = { number = section.number, title = section.title, parts = {}, words = 0,
                    source_words = section.words }
  for _, part in ipairs(section.parts) do
    local pieces = {}
    for _, piece in ipairs(kept) do
      if piece.part == part then
        pieces[#pieces + 1] = piece
        written.words = written.words + words_of(piece)
      end
    end
    if #pieces > 0 then
      local title = not part.untitled and part.title or nil
      written.parts[#written.parts + 1] = { title = title,
                                            blocks = written_pieces(pieces, references) }
    end
  end
  return written
end

---What the sections say, as plain text.
---@param sections textbook.WrittenSection[]
---@return string
function chapter.plain(sections)
  local texts = {}
  for _, section in ipairs(sections) do
    for _, part in ipairs(section.parts) do
      for _, block in ipairs(part.blocks) do texts[#texts + 1] = inline.plain(block) end
    end
  end
  return table.concat(texts, "\n")
end

---@class textbook.Chapter
---@field title string
---@field source string the source's name, for people
---@field words integer of the source
---@field lead string[] Markdown blocks above the first section
---@field sections textbook.WrittenSection[]
---@field terms textbook.Term[]
---@field figure string the figure's file name
---@field alternative string what the figure shows, in a sentence

-- The headings in the order in which they will stand, and their anchors.
local function name_headings(book)
  local name = anchors.namer()
  name(book.title)
  name("Contents")
  for _, section in ipairs(book.sections) do
    section.heading = section.number .. ". " .. section.title
    section.anchor = name(section.heading)
    for _, part in ipairs(section.parts) do
      if part.title then part.anchor = name(part.title) end
    end
  end
  return name("Glossary")
end

local function link(text, anchor) return "[" .. text .. "](#" .. anchor .. ")" end

local function contents(book, glossary_anchor)
  local lines = {}
  for _, section in ipairs(book.sections) do
    lines[#lines + 1] = ("%d. %s"):format(section.number,
      link(chapter.escaped(section.title), section.anchor))
    for _, part in ipairs(section.parts) do
      if part.title then
        lines[#lines + 1] = "   - " .. link(chapter.escaped(part.title), part.anchor)
      end
    end
  end
  lines[#lines + 1] = ("%d. %s"):format(#book.sections + 1,
                                         link("Glossary", glossary_anchor))
  return table.concat(lines, "\n")
end

local function section_terms(section, terms)
  local links = {}
  for _, term in ipairs(terms) do
    if term.section == section.number then
      links[#links + 1] = link(chapter.escaped(term.term), term.anchor)
    end
  end
  return #links > 0 and "*Terms:* " .. table.concat(links, " · ") or nil
end

local function glossary_entry(term, sections)
  local where = sections[term.section]
  return ('<a id="%s"></a>**%s**%s — %s *(%s)*'):format(term.anchor,
    chapter.escaped(term.term), term.used and " (as used)" or "", term.text,
    link("section " .. where.number, where.anchor))
end

---The whole chapter as Markdown.
---@param book textbook.Chapter
---@return string
function chapter.write(book)
  local glossary_anchor = name_headings(book)
  local kept = 0
  for _, section in ipairs(book.sections) do kept = kept + section.words end
  local blocks = { "# " .. chapter.escaped(book.title),
    ("*%s words of “%s”, condensed to %s: the sentences are the author's own, "
     .. "the choice is a program's.*"):format(chapter.grouped(book.words),
       chapter.escaped(book.source), chapter.grouped(kept)) }
  local function add(block) blocks[#blocks + 1] = block end
  for _, block in ipairs(book.lead) do add(block) end
  add("![" .. chapter.escaped(book.alternative) .. "](" .. book.figure .. ")")
  add("## Contents")
  add(contents(book, glossary_anchor))
  for _, section in ipairs(book.sections) do
    add("## " .. chapter.escaped(section.heading))
    for _, part in ipairs(section.parts) do
      if part.title then add("### " .. chapter.escaped(part.title)) end
      for _, block in ipairs(part.blocks) do add(block) end
    end
    add(section_terms(section, book.terms))
  end
  add("## Glossary")
  for _, term in ipairs(book.terms) do add(glossary_entry(term, book.sections)) end
  return table.concat(blocks, "\n\n") .. "\n"
end

---The name of a file, for people.
---@param path string
---@return string
function chapter.source_name(path)
  if path == "-" then return "standard input" end
  return unicode.printable(path:match("([^/]+)/*$") or path)
end

return chapter
