-- glossary: the terms a chapter uses and the sentences of the text that define
-- them. Where a text defines too little, its most telling terms come with the
-- sentence that uses them. It knows neither files nor how entries are written.

local anchors = require "textbook.anchors"
local definitions = require "textbook.definitions"
local pieces = require "textbook.pieces"
local topics = require "textbook.topics"
local unicode = require "textbook.unicode"
local words = require "textbook.words"

local glossary = {}

-- Fewer defined terms than this: show how others are used.
local FEW = 5

---@class textbook.Term
---@field term string
---@field anchor string
---@field text string the defining sentence, as Markdown
---@field section integer where the term is defined, or used
---@field used boolean whether the text only uses it, without a definition

---@class textbook.Candidate
---@field term string
---@field key string
---@field strength number
---@field text string
---@field section integer
---@field order integer

local function key_of(term) return table.concat(words.terms(term), " ") end

-- "This is called a torn write." needs the sentence before it.
local function with_context(reading, piece)
  local before = reading.pieces[piece.needs[1]]
  if piece.backward and before and before.kind == "sentence" then
    return before.text .. " " .. piece.text
  end
  return piece.text
end

local function gather(readings)
  local candidates = {}
  local function add(found, text, section, strength)
    candidates[#candidates + 1] = { term = found.term, key = key_of(found.term),
      strength = strength, text = text, section = section, order = #candidates }
  end
  for number, reading in ipairs(readings) do
    for _, piece in ipairs(reading.pieces) do
      if piece.kind == "item" and piece.definition then
        add(piece.definition, piece.definition.text, number, piece.definition.strength)
      elseif piece.definition and not pieces.announces(piece.plain) then
        -- "This is called X" says less about X than a sentence of its own.
        add(piece.definition, with_context(reading, piece), number,
            piece.definition.strength * (piece.backward and 0.9 or 1))
      end
      for _, item in ipairs(piece.kind == "block" and piece.block.items or {}) do
        local found = item.sentence and definitions.of_item(item.sentence.text)
        if found then add(found, found.text, number, found.strength) end
      end
    end
  end
  return candidates
end

-- "lock-free" beside a better defined "lock-free algorithm" of the same section
-- is half of a term.
local function without_halves(list)
  local whole = {}
  for _, candidate in ipairs(list) do
    local half = false
    for _, other in ipairs(list) do
      half = half or other.section == candidate.section and other ~= candidate
        and other.strength > candidate.strength
        and (" " .. other.key .. " "):find(" " .. candidate.key .. " ", 1, true) ~= nil
    end
    if not half then whole[#whole + 1] = candidate end
  end
  return whole
end

-- The best definition of each term that the chapter uses; how often the text
-- uses it says how much it matters.
local function ranked(candidates, texts, in_chapter)
  local best, keys = {}, {}
  for _, candidate in ipairs(candidates) do
    local rival = best[candidate.key]
    if not rival then keys[#keys + 1] = candidate.key end
    if not rival or candidate.strength > rival.strength then
      best[candidate.key] = candidate
    end
  end
  local frequency = words.frequencies(texts, keys)
  local in_sections = words.frequencies({ in_chapter }, keys)
  local list = {}
  for key, candidate in pairs(best) do
    local uses = frequency[key] or 0
    local weak = candidate.strength < 0.5 and uses < 4 or candidate.strength < 0.8
                 and uses < 2
    if not weak and (in_sections[key] or 0) > 0 then
      candidate.rank = candidate.strength * (1 + 0.3 * math.log(math.max(uses, 1)))
      list[#list + 1] = candidate
    end
  end
  table.sort(list, function(left, right)
    if left.rank ~= right.rank then return left.rank > right.rank end
    return left.order < right.order
  end)
  return without_halves(list)
end

-- The sentences of kept pieces that can show how a term is used.
local function usages(kept)
  local list = {}
  for _, piece in ipairs(kept) do
    if piece.kind == "block" then
      for _, sentence in ipairs(piece.block.sentences) do list[#list + 1] = sentence end
    elseif not pieces.announces(piece.plain) then
      list[#list + 1] = { text = piece.text, terms = words.terms(piece.plain) }
    end
  end
  return list
end

-- The most telling term of each section that is not known yet, with a sentence
-- that uses it.
local function used_terms(sections, kept, background, known)
  local list = {}
  for number, section in ipairs(sections) do
    local shown, texts = usages(kept[number]), {}
    for index, sentence in ipairs(shown) do texts[index] = sentence.terms end
    for _, phrase in ipairs(topics.phrases(texts, background, 1)) do
      local key = key_of(phrase)
      for _, sentence in ipairs(shown) do
        if not known[key] and words.occurrences(sentence.terms, key) > 0 then
          known[key] = true
          list[#list + 1] = { term = phrase, key = key, text = sentence.text,
                              section = section.number, used = true }
        end
      end
    end
  end
  return list
end

-- A term that begins a sentence is written with a capital only there: the way
-- the text mostly writes it tells.
local function usual_case(term, background)
  local small = unicode.uncapitalized(term)
  if small == term or unicode.lower(term) ~= small then return term end
  local key = key_of(term)
  local shapes = background.shapes[key]
  if not shapes then                  -- a longer term: look at its first word
    shapes = background.shapes[key:match("^%S+")] or {}
    local first = term:match("^[%w\128-\255]+")
    local small_first = unicode.uncapitalized(first)
    return (shapes[small_first] or 0) > (shapes[first] or 0) and small or term
  end
  return (shapes[small] or 0) > (shapes[term] or 0) and small or term
end

local UMLAUT = { ["ä"] = "a", ["ö"] = "o", ["ü"] = "u", ["ß"] = "ss", ["é"] = "e" }

local function sort_key(term)
  return (unicode.lower(term):gsub("[\195][\128-\191]", UMLAUT))
end

---The glossary of a chapter, in alphabetical order.
---@param source { sections: textbook.Section[], readings: textbook.Reading[],
---  kept: textbook.Piece[][], texts: string[][], chapter: string,
---  background: textbook.Background } texts: the terms of all sentences; chapter: what
---  the sections say, as plain text
---@return textbook.Term[]
function glossary.build(source)
  local list = ranked(gather(source.readings), source.texts, words.terms(source.chapter))
  local most, known = 20 + 2 * #source.sections, {}
  for index = #list, most + 1, -1 do list[index] = nil end
  for _, candidate in ipairs(list) do known[candidate.key] = true end
  if #list < FEW then
    for _, used in ipairs(used_terms(source.sections, source.kept, source.background,
                                     known)) do
      list[#list + 1] = used
    end
  end
  local terms = {}
  for index, candidate in ipairs(list) do
    terms[index] = { term = usual_case(candidate.term, source.background),
      text = candidate.text, section = candidate.section, used = candidate.used or false }
  end
  table.sort(terms, function(left, right)
    return sort_key(left.term) < sort_key(right.term)
  end)
  local name = anchors.namer()
  for _, term in ipairs(terms) do term.anchor = name("term " .. term.term) end
  return terms
end

return glossary
