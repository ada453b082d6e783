-- words: a text as the terms it is made of: lower case, without endings of the
-- plural, and which of them carry no meaning of their own. It knows no
-- sentences and no Markdown: what comes in is plain text.

local set = require "textbook.set"
local unicode = require "textbook.unicode"

local words = {}

-- Words that say nothing about what a text is about. English and German.
local STOP = set [[
a able about above after again against all almost along already also although
always am among an and another any anything are around as ask at away be became
because become been before began behind being below best better between both
but by came can cannot come could day did do does doing don done down during
each either else end enough even ever every everything far few first for found
from full gave get give given go going good got great had half has have having
he help her here hers herself him himself his how however i if in indeed inside
instead into is it its itself just keep kept kind knew know known large last
later least left less let like likely little long look made make makes making
man many may maybe me means might mine more most much must my myself near need
needs neither never new next no nobody none nor not nothing now of off often old
on once one only onto or order other others our ours out outside over own part
per perhaps place possible put quite rather really said same say says see seem seen several
shall she should show side simply since so some something soon still such take
taken tell than that the their theirs them then there therefore these they thing
things think this those though three through thus time to together told too took
toward two under unless until up upon us use used uses using usually very want
was way ways we well went were what whatever when whenever where whether which
while who whole whom whose why will with within without word work would write
year years yes yet you your yours yourself
aber alle allem allen aller alles als also am an ander andere anderen auch auf
aus bei beim bis bist da dabei dadurch daher damit dann das dass dein dem den
denn der des dessen die dies diese diesem diesen dieser dieses doch dort du durch
ein eine einem einen einer eines er es etwa etwas euch fur für gegen gibt hab
habe haben hat hatte hatten hier hin hinter ich ihm ihn ihnen ihr ihre ihrem
ihren ihrer im immer in ins ist ja jede jedem jeden jeder jedes jetzt kann kein
keine keinen konnte können könnte man mehr mein mich mir mit muss nach nicht
nichts noch nun nur ob oder ohne schon sehr sein seine seinem seinen seiner seit
sich sie sind so sobald solche soll sollte sondern sonst über um und uns unser
unter viel vom von vor war waren warum was weil welche welcher wenn wer werden
wie wieder wird wir wo wurde wurden würde zu zum zur zwar zwischen
的 了 是 在 和 有 不 我 他 这 之 与
の は を が に で と も て た だ し い る な か ら す
]]

-- Endings of an English plural. "ies" before "es" before "s"; a word ending in
-- "ss", "us" or "is" is none.
local function singular(word)
  if #word < 4 or word:sub(-1) ~= "s" then return word end
  if word:find("[^aeiou]ies$") and #word > 4 then return word:sub(1, -4) .. "y" end
  if word:find("[sx]es$") or word:find("[cs]hes$") then return word:sub(1, -3) end
  if word:find("[siu]s$") then return word end
  return word:sub(1, -2)
end

-- Enough for the different words of any book.
local REMEMBERED = 50000

-- The function, made to remember what it gave: of so many words, and then it begins anew.
-- A server reads other texts as long as it runs.
local function remembering(fn)
  local known, count = {}, 0
  return function(word)
    local value = known[word]
    if value == nil then
      if count == REMEMBERED then known, count = {}, 0 end
      value = fn(word)
      known[word], count = value, count + 1
    end
    return value
  end
end

local stem = remembering(singular)

-- A Chinese or Japanese character is a word of its own, but Katakana spell words
-- out and stay together.
local WIDE_WORD = setmetatable({}, {
  __index = function(cache, character)
    local katakana = character:find("^\227\131") or character:find("^\227\130[\160-\191]")
    local shape = katakana and character or " " .. character .. " "
    cache[character] = shape
    return shape
  end,
})

-- Punctuation beyond ASCII becomes space, the curved apostrophe a straight one.
local function spaced(text)
  if not text:find("[\194-\239]") then return text end
  text = text:gsub("\226\128\153", "'")
  text = text:gsub("\226[\128\129][\128-\191]", " ")
  text = text:gsub("\194[\160-\169\171-\180\182-\185\187-\191]", " ")
  text = text:gsub("\195[\151\183]", " ")
  if not text:find("[\227-\239]") then return text end
  text = text:gsub("\227\128[\128-\191]", " ")
  text = text:gsub("\239\188[\129-\143\154-\160\187-\191]", " ")
  text = text:gsub("\239\189[\128\155-\165]", " ")
  return (text:gsub(unicode.WIDE, WIDE_WORD))
end

local WORD = "[%w_\128-\255]+"

---The terms of a plain text, in order: lower case, singular.
---@param text string
---@return string[]
function words.terms(text)
  local terms, count = {}, 0
  local plain = unicode.lower(spaced(text)):gsub("([%w\128-\255])'%l+", "%1")
  for word in plain:gmatch(WORD) do
    count = count + 1
    terms[count] = stem(word)
  end
  return terms
end

---How many words the plain text has; a Chinese character counts as one.
---@param text string
---@return integer
function words.count(text)
  local _, count = spaced(text):gsub("[%w_\128-\255][%w_'%-\128-\255]*", "")
  return count
end

---The words of a plain text as they stand, in order.
---@param text string
---@return string[]
function words.surfaces(text)
  local surfaces = {}
  local plain = spaced(text):gsub("([%w\128-\255])'%a+", "%1")
  for word in plain:gmatch(WORD) do surfaces[#surfaces + 1] = word end
  return surfaces
end

---Whether a term can say what a text is about.
---@type fun(term: string): boolean
words.telling = remembering(function(term)
  return not STOP[term] and #term > 2 and not term:find("^[%d_]+$")
end)

---Whether a word, in lower case, is one of the joints of language.
---@param word string
---@return boolean
function words.is_stop(word)
  return STOP[word] == true
end

local function stands_at(text, position, wanted)
  for offset = 1, #wanted do
    if text[position + offset - 1] ~= wanted[offset] then return false end
  end
  return true
end

---How often the phrase stands in the text: whole words, any case, singular
---and plural alike.
---@param text string[] its terms
---@param phrase string
---@return integer
function words.occurrences(text, phrase)
  local wanted, count = words.terms(phrase), 0
  if #wanted == 0 then return 0 end
  for position = 1, #text - #wanted + 1 do
    if text[position] == wanted[1] and stands_at(text, position, wanted) then
      count = count + 1
    end
  end
  return count
end

---How often each of the phrases stands in the texts.
---@param texts string[][] the terms of each
---@param phrases string[] as terms joined by spaces
---@return table<string, integer>
function words.frequencies(texts, phrases)
  local counts, by_first = {}, {}
  for _, phrase in ipairs(phrases) do
    local terms = {}
    for term in phrase:gmatch("%S+") do terms[#terms + 1] = term end
    if not counts[phrase] and terms[1] then
      counts[phrase] = 0
      by_first[terms[1]] = by_first[terms[1]] or {}
      table.insert(by_first[terms[1]], { phrase = phrase, terms = terms })
    end
  end
  for _, text in ipairs(texts) do
    for position, term in ipairs(text) do
      for _, wanted in ipairs(by_first[term] or {}) do
        if stands_at(text, position, wanted.terms) then
          counts[wanted.phrase] = counts[wanted.phrase] + 1
        end
      end
    end
  end
  return counts
end

return words
