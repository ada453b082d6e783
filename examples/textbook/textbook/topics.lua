-- topics: where a text without headings turns to another subject, and what to
-- call the stretches in between.
--
-- The cut: each gap between two paragraphs is measured by how few words the
-- text before and after it share (the cosine of the two windows' terms, rare
-- terms weighing more). The gaps that share least become the borders, as long
-- as no stretch gets too short. This is the idea of TextTiling (Hearst, 1997).
-- It knows nothing of sections and their number.

local prose = require "textbook.prose"
local set = require "textbook.set"
local unicode = require "textbook.unicode"
local words = require "textbook.words"

local topics = {}

-- How many words before and after a gap are compared.
local WINDOW = 150

-- A paragraph that is cut up gets pieces of about this many words.
local PIECE = 60

-- Pieces of a block that end where sentences do.
local function exploded(block)
  local pieces, first, size = {}, 1, 0
  for index, sentence in ipairs(block.sentences) do
    if size > 0 and size + sentence.words > PIECE then
      pieces[#pieces + 1] = prose.slice(block, first, index - 1)
      first, size = index, 0
    end
    size = size + sentence.words
  end
  pieces[#pieces + 1] = prose.slice(block, first, #block.sentences)
  return pieces
end

-- Too few blocks to choose borders from: cut paragraphs at sentences. Lists whose
-- items all say something can be cut too.
local function pieces_of(blocks, parts)
  if #blocks >= parts * 3 then return blocks end
  local pieces = {}
  for _, block in ipairs(blocks) do
    local whole = not (block.kind == "paragraph" or
                       block.kind == "list" and #block.items == #block.sentences)
    for _, piece in ipairs(whole and { block } or exploded(block)) do
      pieces[#pieces + 1] = piece
    end
  end
  return pieces
end

local function telling_counts(block)
  local counts = {}
  for _, sentence in ipairs(block.sentences) do
    for _, term in ipairs(sentence.terms) do
      if words.telling(term) then counts[term] = (counts[term] or 0) + 1 end
    end
  end
  return counts
end

local function rarity(vectors)
  local spread = {}
  for _, counts in ipairs(vectors) do
    for term in pairs(counts) do spread[term] = (spread[term] or 0) + 1 end
  end
  for term, count in pairs(spread) do spread[term] = math.log(1 + #vectors / count) end
  return spread
end

-- The terms of the pieces next to a gap, going by 'step', for WINDOW words.
local function window(pieces, vectors, from, step)
  local sum, size, at = {}, 0, from
  while pieces[at] and size < WINDOW do
    for term, count in pairs(vectors[at]) do sum[term] = (sum[term] or 0) + count end
    size = size + pieces[at].words
    at = at + step
  end
  return sum
end

local function cosine(left, right, weight)
  local product, left_square, right_square = 0, 0, 0
  for term, count in pairs(left) do
    local value = count * weight[term]
    left_square = left_square + value * value
    if right[term] then product = product + value * right[term] * weight[term] end
  end
  for term, count in pairs(right) do
    local value = count * weight[term]
    right_square = right_square + value * value
  end
  if left_square == 0 or right_square == 0 then return 0 end
  return product / math.sqrt(left_square * right_square)
end

local function announces(block)
  local last = block.sentences[#block.sentences]
  return last ~= nil and last.plain:find(":$") ~= nil
end

local function measured_gaps(pieces)
  local vectors, gaps, words_before = {}, {}, 0
  for index, piece in ipairs(pieces) do
    vectors[index] = telling_counts(piece)
  end
  local weight = rarity(vectors)
  for index = 1, #pieces - 1 do
    words_before = words_before + pieces[index].words
    -- Code and tables belong to what they follow.
    local attached = pieces[index + 1].words == 0 or announces(pieces[index])
    gaps[index] = { after = index, words_before = words_before, similarity = attached
      and 2 or cosine(window(pieces, vectors, index, -1),
                      window(pieces, vectors, index + 1, 1), weight) }
  end
  local last = pieces[#pieces]
  return gaps, words_before + (last and last.words or 0)
end

local function far_enough(gap, chosen, total, distance)
  if gap.words_before < distance or total - gap.words_before < distance then
    return false
  end
  for _, other in ipairs(chosen) do
    if math.abs(other.words_before - gap.words_before) < distance then return false end
  end
  return true
end

-- The gaps that share least first; a smaller distance is tried only when too
-- few are far enough from each other.
local function chosen_gaps(gaps, total, wanted)
  table.sort(gaps, function(left, right)
    if left.similarity ~= right.similarity then
      return left.similarity < right.similarity
    end
    return left.after < right.after
  end)
  local chosen, distance = {}, total / (wanted + 1) / 1.8
  repeat
    for _, gap in ipairs(gaps) do
      if #chosen == wanted then break end
      if far_enough(gap, chosen, total, distance) then chosen[#chosen + 1] = gap end
    end
    distance = distance / 2
  until #chosen == wanted or distance < 1
  table.sort(chosen, function(left, right) return left.after < right.after end)
  return chosen
end

---The blocks in 'parts' stretches of one subject each; fewer if the text has
---not enough sentences.
---@param blocks textbook.Block[]
---@param parts integer
---@return textbook.Block[][]
function topics.segment(blocks, parts)
  local pieces = pieces_of(blocks, parts)
  local gaps, total = measured_gaps(pieces)
  local stretches, from = {}, 1
  local borders = chosen_gaps(gaps, total, parts - 1)
  borders[#borders + 1] = { after = #pieces }
  for _, border in ipairs(borders) do
    local stretch = {}
    for index = from, border.after do stretch[#stretch + 1] = pieces[index] end
    stretches[#stretches + 1] = stretch
    from = border.after + 1
  end
  return stretches
end

-- Before a noun stands an article, or one of these.
local BEFORE_NOUN = set [[a an the of no each every this its their our any between der die
  das den dem ein eine einen einem einer des im zum zur vom]]

-- Chinese and Japanese characters are terms of three bytes each, Katakana longer.
local function is_wide(term) return term:find("^" .. unicode.WIDE) ~= nil end

local function pair_of(left, right)
  return is_wide(left) and left .. right or left .. " " .. right
end

-- Hiragana are the endings and joints of Japanese.
local function is_hiragana(term)
  return term:find("^\227\129") ~= nil or term:find("^\227\130[\128-\159]") ~= nil
end

local function may_name(term)
  if not words.telling(term) then return false end
  if is_wide(term) then return not is_hiragana(term) end
  return #term > 3 and not term:find("ly$") and not term:find("^%d")
end

---@class textbook.Background what a whole document says
---@field counts table<string, integer> of words and of pairs of words
---@field shapes table<string, table<string, integer>> how each is written
---@field nouns table<string, boolean> which ones stand where a noun does
---@field total integer words

-- Calls 'visit' with each phrase of a sentence, a word or a pair of them, and with
-- the places of its first and its last word.
local function each_phrase(terms, visit)
  for index, term in ipairs(terms) do
    if may_name(term) then
      if #term > 3 then visit(term, index, index) end
      local before = terms[index - 1]
      if before and may_name(before) and is_wide(before) == is_wide(term) then
        visit(pair_of(before, term), index - 1, index)
      end
    end
  end
end

-- Whether the phrase stands between an article and a word that is no noun, or is
-- written with a capital inside a sentence.
local function is_named(terms, surfaces, first, last)
  if terms[last]:find("ed$") then return false end
  local below = terms[last + 1]
  return BEFORE_NOUN[terms[first - 1]] and not (below and words.telling(below))
      or first > 1 and not unicode.starts_lower(surfaces[first])
      or is_wide(surfaces[first])
end

local function count_phrases(found, terms, surfaces)
  each_phrase(terms, function(phrase, first, last)
    -- A capital at the start of a sentence says nothing.
    local shape = first > 1 and surfaces[first] or unicode.uncapitalized(surfaces[first])
    if last > first then shape = pair_of(shape, surfaces[last]) end
    local shapes = found.shapes[phrase]
    if not shapes then
      shapes = {}
      found.shapes[phrase] = shapes
    end
    shapes[shape] = (shapes[shape] or 0) + 1
    found.counts[phrase] = (found.counts[phrase] or 0) + 1
    if not found.nouns[phrase] and is_named(terms, surfaces, first, last) then
      found.nouns[phrase] = true
    end
  end)
end

-- What is frequent shows in a sample: of larger texts every n-th sentence counts.
local SAMPLE, SAMPLE_OF_PART = 200000, 25000

---Counts over a whole document, to tell what is special about a part of it.
---@param blocks textbook.Block[]
---@param total integer its words
---@return textbook.Background
function topics.background(blocks, total)
  local found = { counts = {}, shapes = {}, nouns = {}, total = 0 }
  local stride, number = math.max(1, math.ceil(total / SAMPLE)), 0
  prose.each(blocks, function(sentence)
    number = number + 1
    if number % stride ~= 0 then return end
    local terms, surfaces = sentence.terms, words.surfaces(sentence.plain)
    found.total = found.total + #terms
    if #terms == #surfaces then count_phrases(found, terms, surfaces) end
  end)
  return found
end

local function usual_shape(shapes)
  local best, most = nil, 0
  for shape, count in pairs(shapes) do
    if count > most or count == most and shape > best then best, most = shape, count end
  end
  return best
end

local function ranked_phrases(counts, total, background)
  local ranked = {}
  for phrase, count in pairs(counts) do
    local everywhere = background.counts[phrase] or count
    local share = (count / total) / (everywhere / background.total)
    local pair = phrase:find(" ", 1, true) or #phrase > 3 and is_wide(phrase)
    if background.nouns[phrase] and (not pair or count > 1) then
      ranked[#ranked + 1] = { phrase = phrase,
        score = count * math.log(1 + share) * (pair and 1.6 or 1) }
    end
  end
  table.sort(ranked, function(left, right)
    if left.score ~= right.score then return left.score > right.score end
    return left.phrase < right.phrase
  end)
  return ranked
end

---What some sentences are about, in a few of their own words: those that are much
---more frequent in them than in the whole document.
---@param texts string[][] the terms of each sentence
---@param background textbook.Background
---@param wanted integer how many phrases
---@return string[]
function topics.phrases(texts, background, wanted)
  local counts, total, all = {}, 0, 0
  local function count(phrase) counts[phrase] = (counts[phrase] or 0) + 1 end
  for _, terms in ipairs(texts) do all = all + #terms end
  for index = 1, #texts, math.max(1, math.ceil(all / SAMPLE_OF_PART)) do
    each_phrase(texts[index], count)
    total = total + #texts[index]
  end
  local phrases, taken = {}, {}
  for _, candidate in ipairs(ranked_phrases(counts, total, background)) do
    if #phrases == wanted then break end
    local fresh = true
    local parts = words.terms(candidate.phrase)
    for _, term in ipairs(parts) do fresh = fresh and not taken[term] end
    if fresh then
      for _, term in ipairs(parts) do taken[term] = true end
      phrases[#phrases + 1] = usual_shape(background.shapes[candidate.phrase])
    end
  end
  return phrases
end

---A heading made of phrases: "Harpoon, whale line and boat".
---@param phrases string[]
---@return string
function topics.heading(phrases)
  if #phrases == 0 then return "Untitled" end
  local heading = table.concat(phrases, ", ", 1, math.max(1, #phrases - 1))
  if #phrases > 1 then heading = heading .. " and " .. phrases[#phrases] end
  return unicode.capitalized(heading)
end

return topics
