-- condense: chooses the key sentences of a section, and the lists, tables and
-- listings that belong to them. Nothing is rewritten: what is kept is kept whole
-- and in the author's order.
--
-- How a sentence is judged
--   weight    every telling term has a weight: how often the section uses it,
--             times how rare it is in the paragraphs of the whole text (tf-idf);
--             terms of the section's headings count half as much again. A
--             sentence's weight is the sum over its terms, divided by their
--             number plus a constant, so that neither short nor long ones win.
--   position  the first sentence of a paragraph says what it is about, and the
--             first paragraph below a heading what the section is about.
--   form      definitions gain; questions, examples, asides and sentences that
--             point elsewhere ("the figure above") lose.
--   novelty   terms that the chosen sentences contain already count for less.
--   company   "It", "However", "This is why": such a sentence is only taken
--             together with the one before it; a sentence that ends with a colon
--             only together with what it announces.
-- It knows neither the number of sections nor how they are written down.

local pieces = require "textbook.pieces"
local words = require "textbook.words"

local condense = {}

-- A sentence of more words is rarely a key sentence; one of fewer is a remark.
local LONG, SHORT = 45, 6

local ELSEWHERE = { "in the example", "this example", "the listing", "above", "below",
  "following", "figure %d", "table %d", "listing %d",
  "chapter %d", "section %d", "see also", "previous", "%f[%a]see %u" }

local function points_elsewhere(plain)
  local lower = plain:lower()
  for _, pattern in ipairs(ELSEWHERE) do
    if lower:find(pattern) then return true end
  end
  return false
end

---@class textbook.Spread in how many paragraphs each term of the text occurs
---@field count table<string, integer>
---@field paragraphs integer

---@param readings textbook.Reading[]
---@return textbook.Spread
function condense.spread(readings)
  local spread = { count = {}, paragraphs = 0 }
  for _, reading in ipairs(readings) do
    local seen, paragraph = {}, nil
    for _, piece in ipairs(reading.pieces) do
      if piece.paragraph ~= paragraph then seen, paragraph = {}, piece.paragraph end
      for _, term in ipairs(piece.terms) do
        if not seen[term] then
          seen[term] = true
          spread.count[term] = (spread.count[term] or 0) + 1
        end
      end
    end
    spread.paragraphs = spread.paragraphs + reading.paragraphs
  end
  return spread
end

-- ------------------------------------------------------------------- judging

local function term_weights(reading, section, spread)
  local weight = {}
  for _, piece in ipairs(reading.pieces) do
    for _, term in ipairs(piece.terms) do weight[term] = (weight[term] or 0) + 1 end
  end
  for term, count in pairs(weight) do
    weight[term] = math.log(1 + count)
                 * math.log(1 + spread.paragraphs / spread.count[term])
  end
  local function favour(title)
    for _, term in ipairs(pieces.telling(words.terms(title))) do
      if weight[term] then weight[term] = weight[term] * 1.5 end
    end
  end
  favour(section.title)
  for _, part in ipairs(section.parts) do
    if part.title ~= section.title then favour(part.title) end
  end
  return weight
end

local function form_factor(piece)
  local plain, factor = piece.plain or "", 1
  if piece.definition then factor = factor * (1 + 0.6 * piece.definition.strength) end
  if plain:find("%?[\"'”)]*$") then factor = factor * 0.6 end
  if plain:find("^%(") then factor = factor * 0.4 end
  if plain:find("[Ff]or example") or plain:find("[Ff]or instance") then
    factor = factor * 0.75
  end
  if points_elsewhere(plain) then factor = factor * 0.7 end
  if piece.words < SHORT then factor = factor * 0.7 end
  if piece.words > LONG then factor = factor * 0.7 end
  if piece.alone then factor = factor * 0.6 end
  if piece.backward and #piece.needs == 0 then factor = factor * 0.5 end
  return factor
end

-- A listing shows what sentences only say.
local LISTING = 1.3

-- Where a piece stands: the opening of a paragraph, of a heading's text.
local function position_factor(piece, opens_part)
  local factor = piece.first and 1.35 or 1
  if opens_part then factor = factor * (piece.first and 1.5 or 1.2) end
  if piece.block.kind == "code" then factor = factor * LISTING end
  return factor
end

-- The constant beside the number of terms, and what a term counts that was said.
local SHRINK, REPEATED = 5, 0.5

local function weight_of(piece, weight, covered)
  local sum = 0
  for _, term in ipairs(piece.terms) do
    sum = sum + weight[term] * (covered[term] and REPEATED or 1)
  end
  return sum / (#piece.terms + SHRINK)
end

local function judge(reading, weight)
  local part, opening
  for _, piece in ipairs(reading.pieces) do
    if piece.part ~= part then part, opening = piece.part, piece.paragraph end
    piece.factor = form_factor(piece) * position_factor(piece, piece.paragraph == opening)
    piece.score = weight_of(piece, weight, {}) * piece.factor
  end
end

-- A piece with all that must come with it, or nil if that is too much or not
-- readable.
local MOST_COMPANY = 4

local function company(reading, index)
  local members, queue = { [index] = true }, { index }
  local count = 0
  while #queue > 0 do
    local piece = reading.pieces[table.remove(queue)]
    count = count + 1
    if not piece.fit or count > MOST_COMPANY then return nil end
    for _, needed in ipairs(piece.needs) do
      if not members[needed] then
        members[needed] = true
        queue[#queue + 1] = needed
      end
    end
  end
  local list = {}
  for member in pairs(members) do list[#list + 1] = member end
  table.sort(list)
  return list
end

-- ------------------------------------------------------------------ choosing

-- More candidates than can ever be chosen only cost time.
local MOST_CANDIDATES = 600

local function candidates_of(reading)
  local list = {}
  for index, piece in ipairs(reading.pieces) do
    local members = company(reading, index)
    if members then
      list[#list + 1] = { members = members, part = piece.part, score = piece.score,
                          index = index }
    end
  end
  if #list > MOST_CANDIDATES then
    table.sort(list, function(left, right)
      if left.score ~= right.score then return left.score > right.score end
      return left.index < right.index
    end)
    for index = #list, MOST_CANDIDATES + 1, -1 do list[index] = nil end
  end
  return list
end

---@class textbook.Choice what has been chosen of a section so far
---@field kept table<integer, boolean>
---@field said table<string|integer, boolean> the same sentence is kept once
---@field covered table<string, boolean>
---@field words integer
---@field of_part table<textbook.Unit, integer> words of each part
---@field ratio number how much of the section may be kept
---@field listings integer

-- A part that has less of the chapter than of the text comes first.
local BEHIND = 1.25

local function value_of(candidate, reading, choice, weight)
  local sum, cost, fresh = 0, 0, 0
  for _, index in ipairs(candidate.members) do
    if not choice.kept[index] then
      local piece = reading.pieces[index]
      if choice.said[piece.plain or index] then return nil end
      fresh = fresh + 1
      cost = cost + piece.words
      sum = sum + weight_of(piece, weight, choice.covered) * piece.factor
    end
  end
  if fresh == 0 then return nil end
  local value = sum / fresh
  if choice.kept[candidate.members[1] - 1] then value = value * 1.15 end
  local of_part = choice.of_part[candidate.part] or 0
  if of_part < candidate.part.words * choice.ratio then value = value * BEHIND end
  return value, cost
end

local function is_extra_listing(candidate, reading, choice)
  if choice.listings < 1 then return false end
  for _, index in ipairs(candidate.members) do
    if reading.pieces[index].block.kind == "code" and not choice.kept[index] then
      return true
    end
  end
  return false
end

local function best_of(candidates, reading, choice, weight, room, part)
  local best, most = nil, 0
  for _, candidate in ipairs(candidates) do
    if not part or candidate.part == part then
      local value, cost = value_of(candidate, reading, choice, weight)
      if value and cost <= room and value > most
         and not is_extra_listing(candidate, reading, choice) then
        best, most = candidate, value
      end
    end
  end
  return best
end

local function keep(candidate, reading, choice)
  for _, index in ipairs(candidate.members) do
    if not choice.kept[index] then
      local piece = reading.pieces[index]
      choice.kept[index] = true
      choice.said[piece.plain or index] = true
      choice.words = choice.words + piece.words
      choice.of_part[piece.part] = (choice.of_part[piece.part] or 0) + piece.words
      if piece.block.kind == "code" then choice.listings = choice.listings + 1 end
      for _, term in ipairs(piece.terms) do choice.covered[term] = true end
    end
  end
end

-- Every subheading gets its best sentence first; then the best of all, as long
-- as there is room.
local function choose(reading, section, weight, budget)
  local choice = { kept = {}, said = {}, covered = {}, words = 0, of_part = {},
                   listings = 0, ratio = budget / math.max(1, section.words) }
  local candidates = candidates_of(reading)
  for _, part in ipairs(section.parts) do
    local best = best_of(candidates, reading, choice, weight, math.huge, part)
    if best then keep(best, reading, choice) end
  end
  while choice.words < budget do
    local room = math.max(budget - choice.words, 20)
    local best = best_of(candidates, reading, choice, weight, room)
    if not best then break end
    keep(best, reading, choice)
  end
  return choice
end

---The pieces that make the section's condensed text, in the author's order.
---@param reading textbook.Reading
---@param section textbook.Section
---@param spread textbook.Spread
---@param budget integer about how many words
---@return textbook.Piece[]
function condense.select(reading, section, spread, budget)
  local weight = term_weights(reading, section, spread)
  judge(reading, weight)
  local choice = choose(reading, section, weight, budget)
  local kept = {}
  for index, piece in ipairs(reading.pieces) do
    if choice.kept[index] then kept[#kept + 1] = piece end
  end
  return kept
end

---How many words a section may have: two fifths of the chapter are shared out
---evenly, the rest by length.
---@param section textbook.Section
---@param count integer how many sections there are
---@param total integer words of all sections
---@return integer
function condense.budget(section, count, total)
  local chapter = math.max(math.min(total * 0.4, 2600), math.min(total * 0.6, 700))
  return math.floor(chapter * (0.4 / count + 0.6 * section.words / math.max(total, 1)))
end

return condense
