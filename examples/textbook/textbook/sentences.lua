-- sentences: cuts a paragraph of Markdown or plain text into sentences, each
-- whole: it never cuts inside code, links, brackets, quotations or emphasis,
-- nor after an abbreviation. It knows nothing of what sentences are worth.

local inline = require "textbook.inline"
local set = require "textbook.set"
local unicode = require "textbook.unicode"

local sentences = {}

local find, sub = string.find, string.sub

-- Never the end of a sentence; and only one where a capital follows.
local ABBREVIATION = set [[
e.g i.e cf vs viz resp approx ca fig figs eq sec ch vol ed eds pp p no nr nos st dr mr
mrs ms prof sen gen capt col lt rev hon messrs jan feb mar apr aug sept oct nov dec
z.b d.h u.a bzw vgl ggf evtl bspw sog u.u s.o s.u o.ä al ver vers
]]

-- German: "am 3. Mai".
local MONTH = set [[januar februar märz april mai juni juli august september oktober
november dezember]]

-- What opens a stretch that is kept together, and what closes it.
local PAIRS = {
  ["("] = ")", ["["] = "]", ['"'] = '"', ["“"] = "”", ["„"] = "“", ["«"] = "»",
  ["「"] = "」", ["『"] = "』", ["（"] = "）",
  ["**"] = "**", ["*"] = "*", ["_"] = "_",
}

-- An opener without its closer nearby is just a character.
local REACH = 500

-- A mark after a space closes no emphasis: so many are passed over.
local CLOSERS = 8

local OPENER = "[%(%[\"*_\194\226\227\239]"
local ENDING = "[.!?\226\227\239]"
local INTERESTING = "[%(%[\"*_.!?\194\226\227\239]"

local function opener_at(mask, at)
  if not find(mask, "^" .. OPENER, at) then return nil end
  for _, length in ipairs { 3, 2, 1 } do
    local opener = sub(mask, at, at + length - 1)
    if PAIRS[opener] then return opener end
  end
end

-- Emphasis hugs its words; an underscore inside a name is a letter.
local function opens(mask, at, opener)
  local after = sub(mask, at + #opener, at + #opener)
  if opener == "_" then
    return not find(mask, "^[%w_]", at - 1) and find(after, "[^%s_]") ~= nil
  elseif opener == "*" or opener == "**" then
    return find(after, "[^%s*]") ~= nil
  end
  return true
end

local function closer_position(mask, at, opener)
  local closer = PAIRS[opener]
  local window = sub(mask, at, at + REACH)
  if opener == "(" or opener == "[" then
    local body = window:match(opener == "(" and "^%b()" or "^%b[]")
    return body and at + #body - 1
  end
  local from = 1 + #opener
  for _ = 1, CLOSERS do
    local first, last = find(window, closer, from, true)
    if not first then return nil end
    local emphasis = find(closer, "^[*_]")
    if not (emphasis and find(window, "^%s", first - 1)) then return at + last - 1 end
    from = last + 1
  end
end

local CLOSING = { '"', "'", ")", "]", "*", "_", "`", "”", "’", "»", "“" }
local WIDE_CLOSING = { "」", "』", "）", "”", "’" }
local WIDE_END = { "。", "！", "？", "｡" }

---Whether the text ends like a sentence of Chinese or Japanese.
---@param text string
---@return boolean
function sentences.ends_wide(text)
  local closer = unicode.ending(text, WIDE_CLOSING)
  local rest = closer and sub(text, 1, -#closer - 1) or text
  return unicode.ending(rest, WIDE_END) ~= nil
end

---Whether the sentence comes to an end of its own.
---@param sentence string
---@return boolean
function sentences.is_complete(sentence)
  local rest = sentence
  local closer = unicode.ending(rest, CLOSING)
  while closer do
    rest = sub(rest, 1, -#closer - 1)
    closer = unicode.ending(rest, CLOSING)
  end
  return find(rest, "[.!?]$") ~= nil or unicode.ending(rest, { "…" }) ~= nil
      or sentences.ends_wide(sentence)
end

-- The end of a kept-together stretch that starts at 'at', and whether its last
-- words end a sentence.
local function stretch_at(mask, at)
  local opener = opener_at(mask, at)
  if not (opener and opens(mask, at, opener)) then return nil end
  local stop = closer_position(mask, at, opener)
  if not stop then return nil end
  local inner = sub(mask, at + #opener, stop - #PAIRS[opener])
  return stop, #inner > 1 and sentences.is_complete(inner)
end

local function is_abbreviation(mask, at, sentence_start)
  local before = sub(mask, math.max(sentence_start, at - 12), at - 1)
  local word = before:match("([%a\128-\255][%a.\128-\255]*)$")
  if word then
    local key = unicode.lower(word)
    if ABBREVIATION[key] then return true end
    if key == "no" or key == "etc" then return false end
    return find(word, "^%u$") ~= nil and word ~= "I"   -- an initial
        or find(word, "^%a%.%a$") ~= nil               -- a.m., z.B.
        or #word == 1 and find(mask, "^%.%s%u%.", at) ~= nil -- z. B.
  end
  local month = find(mask, "^%d", at - 1) and mask:match("^%.%s+([%a\128-\255]+)", at)
  if month and MONTH[unicode.lower(month)] then return true end
  -- The number of a list item or of a chapter, at the start of a sentence.
  return at - sentence_start < 8
     and find(sub(mask, sentence_start, at - 1), "^%W*%d+$") ~= nil
end

local function past_closers(mask, at, closers)
  local moved = true
  while moved do
    moved = false
    for _, closer in ipairs(closers or CLOSING) do
      if sub(mask, at, at + #closer - 1) == closer then
        at, moved = at + #closer, true
      end
    end
  end
  return at
end

-- Whether what follows the position can start a sentence.
local function starts_sentence(mask, at)
  local next_word = find(mask, "%S", at)
  if not next_word then return true end
  if next_word == at then return false end
  return not unicode.starts_lower(sub(mask, next_word, next_word + 3))
     and not find(mask, "^[,;:)]", next_word)
end

-- The position after a sentence that ends with the character at 'at', or nil.
local function end_of_sentence(mask, at, sentence_start)
  local wide = sub(mask, at, at + 2)
  if unicode.ending(wide, WIDE_END) then
    return past_closers(mask, at + 3, WIDE_CLOSING)
  end
  local run = mask:match("^[.!?]+", at) or (wide == "…" and wide)
  if not run then return nil end
  if run == "." and is_abbreviation(mask, at, sentence_start) then return nil end
  local stop = past_closers(mask, at + #run)
  return starts_sentence(mask, stop) and stop or nil
end

---The sentences of one paragraph, in order, as they stand in it.
---@param paragraph string
---@param references table<string, string>?
---@return string[]
function sentences.split(paragraph, references)
  local mask = inline.masked(paragraph, references)
  local found, start = {}, find(mask, "%S") or 1
  local function cut(stop)
    found[#found + 1] = (sub(paragraph, start, stop - 1):gsub("%s+$", ""))
    start = find(mask, "%S", stop) or #mask + 1
    return start
  end
  local at = find(mask, INTERESTING, start)
  while at do
    local after = at + 1
    local stretch_end, ended = stretch_at(mask, at)
    if stretch_end then
      after = stretch_end + 1
      if ended and starts_sentence(mask, past_closers(mask, after)) then
        after = cut(past_closers(mask, after))
      end
    elseif find(mask, "^" .. ENDING, at) then
      local stop = end_of_sentence(mask, at, start)
      if stop then after = cut(stop) end
    end
    at = find(mask, INTERESTING, after)
  end
  if start <= #mask then cut(#mask + 1) end
  return found
end

return sentences
