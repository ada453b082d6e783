-- pieces: takes a section apart into what can be kept or left as a whole: sentences,
-- items of long lists, small lists, tables, listings, quotations. It notes what
-- cannot stand without what: "It", "However", "This is why" continue the sentence
-- before; a sentence that ends with a colon needs what it announces. It judges
-- nothing.

local definitions = require "textbook.definitions"
local set = require "textbook.set"
local unicode = require "textbook.unicode"
local words = require "textbook.words"

local pieces = {}

---@class textbook.Piece what is kept or left as a whole
---@field kind "sentence"|"item"|"block"
---@field text string? Markdown that stands on its own
---@field plain string?
---@field block textbook.Block
---@field part textbook.Unit
---@field paragraph integer which paragraph of the section it is in
---@field first boolean whether it opens that paragraph
---@field words integer what it costs
---@field terms string[] telling terms, each once
---@field needs integer[] pieces that must come with it
---@field score number?
---@field fit boolean whether it can be read on its own terms
---@field definition textbook.Definition?
---@field backward boolean? whether it continues the piece before it
---@field alone boolean? an item of a list that nothing announces
---@field factor number? what its form and place do to its weight

-- A block is kept whole or not at all, so it must be small.
local LISTING_LINES, LIST_ITEMS, LIST_WORDS, TABLE_LINES = 18, 8, 130, 12

-- Sentences that start so continue the one before them.
local BACKWARD = set [[
  this that these those it its they their them he she his her him such both neither either
  but and or yet so then thus hence therefore however instead also otherwise moreover
  furthermore nevertheless nonetheless consequently accordingly similarly likewise
  conversely meanwhile besides still again indeed here there second secondly third thirdly
  finally lastly another others because which who whereas nor only even now afterwards
  dies diese dieser dieses er sie es aber und oder doch also dann daher deshalb jedoch
  trotzdem auch dabei dadurch dazu damit darum denn
]]

-- Two words that do so: "The remedy is ...": of what?
local BACKWARD_PAIRS = {}
for pair in ([[the same,the other,the former,the latter,in this,in that,for this,for that,
  in other,of these,in both,the second,the third,the fourth,the fifth,the next,each of,
  at that,after that,from then,one of,none of,with this,with that,if so,if not,if it,
  when it,in contrast,by contrast,the rest,like this,the distinction,the difference,
  the question,the answer,the remedy,the problem,the solution,the reason,the effect,
  the loop,the call,the promise,the checker,the contract,the result,to do,as a,on the,
  the last]]):gmatch("[^,%s][^,]*") do
  BACKWARD_PAIRS[pair:gsub("%s+", " ")] = true
end
-- Of these pairs only what goes on so.
local LONGER = { ["to do"] = "^to do so", ["as a"] = "^as a result",
  ["on the"] = "^on the other hand", ["the last"] = "^the last one",
  ["in other"] = "^in other words", ["one of"] = "^one of th", ["if it"] = "^if it " }

-- "of that table", "in this week": the sentence before says which.
local PREPOSITION = set [[of in on at to for from with by under after before into between
  behind against without like such]]
local DEMONSTRATIVE = set "this that these those"

local function starts_backward(plain)
  local lower = unicode.lower(plain:sub(1, 100))
  local word, following = lower:match("^[\"'“(]*([%a\128-\255]+)[ ,]*([%a\128-\255]*)")
  if not word then return false end
  if word == "there" and (following == "is" or following == "are") then return false end
  if BACKWARD[word] then return true end
  local pair = word .. " " .. following
  if BACKWARD_PAIRS[pair] and (not LONGER[pair] or lower:find(LONGER[pair])) then
    return true
  end
  for first, second, third in lower:gmatch("(%a+) +%f[%a](th%a+) +()") do
    if PREPOSITION[first] and DEMONSTRATIVE[second] and not lower:find("^who%f[%A]", third)
       and not lower:find("^that%f[%A]", third) then
      return true
    end
  end
  return lower:find(" for both ", 1, true) ~= nil or lower:find(" do this", 1, true) ~= nil
      or lower:find(" do so", 1, true) ~= nil
      or lower:find("%f[%a]such an? ") ~= nil
end

---The telling terms among terms, each once.
---@param terms string[]
---@return string[]
function pieces.telling(terms)
  local seen, list = {}, {}
  for _, term in ipairs(terms) do
    if not seen[term] and words.telling(term) then
      seen[term] = true
      list[#list + 1] = term
    end
  end
  return list
end

---@class textbook.Reading a section taken apart
---@field pieces textbook.Piece[]
---@field paragraphs integer

local function add_piece(reading, piece)
  piece.needs = piece.needs or {}
  reading.pieces[#reading.pieces + 1] = piece
  return piece
end

local function new_piece(kind, sentence, part, block, reading)
  return { kind = kind, text = sentence.text, plain = sentence.plain, block = block,
           part = part, paragraph = reading.paragraphs, words = sentence.words,
           fit = sentence.fit, terms = pieces.telling(sentence.terms) }
end

local function read_paragraph(reading, part, block)
  reading.paragraphs = reading.paragraphs + 1
  for index, sentence in ipairs(block.sentences) do
    local position = #reading.pieces
    local before = reading.pieces[position]
    local piece = new_piece("sentence", sentence, part, block, reading)
    piece.first = index == 1
    add_piece(reading, piece)
    piece.definition = definitions.of_sentence(piece.text, piece.plain)
    if starts_backward(piece.plain) then
      piece.backward = true
      if before and before.part == part then piece.needs[1] = position end
    end
  end
end

-- Whether a list, table, quote or listing is small enough to be kept.
local function is_small(block)
  if block.kind == "code" then
    return #block.lines <= LISTING_LINES and #block.lines > 0
  elseif block.kind == "table" then
    return #block.lines <= TABLE_LINES
  elseif block.kind == "list" and #block.items > LIST_ITEMS then
    return false
  end
  local count = 0
  for _, sentence in ipairs(block.sentences) do count = count + sentence.words end
  return count <= LIST_WORDS and count > 0
end

---Whether the sentence ends with a colon: what it announces comes after it.
---@param plain string
---@return boolean
function pieces.announces(plain)
  return unicode.ending(plain, { ":", "：" }) ~= nil
end

local function announcing(reading, part)
  local last = reading.pieces[#reading.pieces]
  if last and last.part == part and last.kind == "sentence"
     and pieces.announces(last.plain) then
    return last, #reading.pieces
  end
end

-- What a whole block costs, in words: a line of code is read like a few.
local LINE_COST = { code = 4, table = 6 }

local function content_of(block)
  if block.lines then
    local code = table.concat(block.lines, "\n")
    return words.terms(code), #block.lines * LINE_COST[block.kind]
  end
  local terms, cost = {}, 0
  for _, sentence in ipairs(block.sentences) do
    cost = cost + sentence.words
    for _, term in ipairs(sentence.terms) do terms[#terms + 1] = term end
  end
  return terms, cost
end

local function read_whole(reading, part, block)
  local lead, lead_at = announcing(reading, part)
  local before = #reading.pieces
  local terms, cost = content_of(block)
  reading.paragraphs = reading.paragraphs + 1
  local piece = add_piece(reading, { kind = "block", block = block, part = part,
    paragraph = reading.paragraphs, words = cost, first = false, fit = true,
    terms = pieces.telling(terms) })
  if lead then
    lead.fit = true
    lead.needs[#lead.needs + 1] = before + 1
    piece.needs[1] = lead_at
  elseif before > 0 and reading.pieces[before].part == part and block.kind == "code" then
    piece.needs[1] = before
  end
end

-- The items of a list too long to be kept are judged one by one.
local function read_items(reading, part, block)
  local _, lead_at = announcing(reading, part)
  reading.paragraphs = reading.paragraphs + 1
  for _, item in ipairs(block.items) do
    if item.sentence and not item.code then
      local piece = new_piece("item", item.sentence, part, block, reading)
      piece.first, piece.alone, piece.needs = false, lead_at == nil, { lead_at }
      piece.definition = definitions.of_item(piece.text)
      add_piece(reading, piece)
    end
  end
end

-- A list of links is a table of contents, or further reading.
local function is_navigation(block)
  if block.kind ~= "list" then return false end
  local links = 0
  for _, item in ipairs(block.items) do
    if item.text:find("^%[[^%]]*%]%([^)]*%)%s*$") then links = links + 1 end
  end
  return links * 2 > #block.items
end

---Takes a section apart into pieces.
---@param section textbook.Section
---@return textbook.Reading
function pieces.read(section)
  local reading = { pieces = {}, paragraphs = 0 }
  for _, part in ipairs(section.parts) do
    for _, entry in ipairs(part.entries) do
      for _, block in ipairs(entry.blocks) do
        if block.kind == "paragraph" then
          read_paragraph(reading, part, block)
        elseif is_navigation(block) then
          reading.paragraphs = reading.paragraphs + 1
        elseif is_small(block) then
          read_whole(reading, part, block)
        elseif block.kind == "list" then
          read_items(reading, part, block)
        end
      end
    end
  end
  return reading
end

return pieces
