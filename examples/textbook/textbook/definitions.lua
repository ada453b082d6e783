-- definitions: which term a sentence defines, if it defines one. It knows the
-- ways English and German (and a few of Japanese and Chinese) define things, and
-- looks at one sentence at a time; what is done with the terms is not its matter.

local inline = require "textbook.inline"
local set = require "textbook.set"
local unicode = require "textbook.unicode"
local words = require "textbook.words"

local definitions = {}

-- Words that stand before "is a" without being terms.
local NO_TERM = set [[
this that these those it its it's there here what which who whom whose he she they we
you i one ones none nobody nothing something anything everything everyone each every
all some any most many few several both either neither another other others such
first second third last next former latter same result reason point problem question
answer thing things idea rest goal aim way ways time case cases example examples effect
consequence advantage disadvantage difference purpose trick fact truth only main whole
part parts kind kinds sort type types number half following above below whatever why how
when where while if as so and or but yet because since although though however therefore
thus hence then now still also even just not no never always often sometimes usually
mine yours his hers ours theirs man men woman people day year name note step
der die das dies dieser diese dieses es er sie wir ich man hier da dort was wer wie wo
alles nichts etwas jeder jede jedes ein eine einer eines kein keine
]]

local LONGEST_TERM = 4

---@class textbook.Definition
---@field term string as written
---@field strength number 0 to 1: how surely the sentence defines it
---@field text string? what explains it, where that is not the whole sentence

local ANY_ARTICLE = set "a an the ein eine einen einem einer der die das den dem"
local QUOTES = { "“", "”", "„", "«", "»", "「", "」" }

-- The name inside what stands where one is expected: what is in quotation marks,
-- or all of it, without its article.
local function tidy(term)
  local quoted = term:match('"([^"]+)"') or term:match("“(.-)”") or term:match("„(.-)“")
  if quoted then return quoted end
  for _, quote in ipairs(QUOTES) do term = term:gsub(quote, "") end
  term = term:gsub("^[\"'(]+", ""):gsub("[\"'),;:]+$", "")
  local article, rest = term:match("^(%a+)%s+(.+)$")
  if article and ANY_ARTICLE[article:lower()] then term = rest end
  return term
end

local function is_term(term)
  if unicode.length(term) > 40 or unicode.length(term) < 2 then return false end
  if term:find("[%d%s]$") and not term:find("%a") then return false end
  if term:find("[,;:.!?]%s") or term:find("[(){}<>=|]") then return false end
  local count, telling = 0, false
  for _, word in ipairs(words.surfaces(term)) do
    count = count + 1
    local lower = unicode.lower(word)
    if count == 1 and NO_TERM[lower] then return false end
    if not (words.is_stop(lower) or NO_TERM[lower]) and #word > 1 then telling = true end
  end
  return telling and count <= LONGEST_TERM
end

local function definition(term, strength)
  term = tidy(term)
  return is_term(term) and { term = term, strength = strength } or nil
end

-- "is a", "are the", "is what": the copula and what must follow it.
local PREDICATE = set [[a an the any one what how when where simply just nothing
  ein eine einer der die das jede jeder jedes]]
-- "... is the only one": says which, not what.
local NO_KIND = set [[only same first last next other rest result reason best most least
  one ones whole end start beginning case different good bad better simple small great
  rare key matter few broad big wide long short popular common useful hot new old
  einzige gleiche selbe erste letzte]]
local COPULA = set "is are ist sind"
local MEANS = set [[means mean denotes denote describes names bezeichnet bedeutet
  bezeichnen bedeuten heißt]]

local function split_words(text, most)
  local list, position = {}, 1
  while #list < most do
    local first, last, word = text:find("^(%S+)%s*", position)
    if not first then break end
    list[#list + 1] = { word = word, first = first, last = first + #word - 1 }
    position = last + 1
  end
  return list
end

-- "is a counter", "is one that": what follows the copula says what it is.
local function explains(following, kind)
  return PREDICATE[following:lower()] and not NO_KIND[kind:lower()]
end

-- A name ends where the sentence goes on.
local JOINT = set [[and or but because when if which that who where while by in on at for
  to of from with as since after before until und oder weil wenn die der das like
  such]]

local ARTICLE = set "a an ein eine eines einer"
local THE = set "the der die das"

-- "A cell is a ...", "Recovery means ...": the subject runs up to the verb.
local function by_subject(plain)
  local list = split_words(plain, LONGEST_TERM + 6)
  local first = list[1] and unicode.lower(list[1].word) or ""
  local indefinite, definite = ARTICLE[first], THE[first]
  for index = 2, math.min(#list - 1, LONGEST_TERM + 2) do
    local verb = list[index].word
    local subject = plain:sub(1, list[index].first - 1):gsub("%s+$", "")
    if MEANS[verb] then return definition(subject, definite and 0.5 or 0.8) end
    local following = list[index + 1].word:lower()
    if COPULA[verb] then
      if following == "called" or following == "known" then return nil end
      local kind = list[index + 2] and list[index + 2].word or ""
      if not explains(following, kind) then return nil end
      if indefinite then return definition(subject, 0.95) end
      if definite then return definition(subject, 0.4) end
      return definition(subject, (verb == "is" or verb == "ist") and 0.75 or 0.55)
    end
    -- "A database like this one", "A word in memory": not a name but a phrase.
    if verb:find("[,;:.]$") or JOINT[verb] and verb ~= "of" then return nil end
  end
end

-- "... is called a torn write", "... nennt man Zelle", "By X we mean".
local BY_NAME = {
  { "is called", "%f[%a]is called an? ([^,;:.()]+)", 0.85 },
  { "are called", "%f[%a]are called ([^,;:.()]+)", 0.85 },
  { "is called", "%f[%a]is called ([^,;:.()]+)", 0.8 },
  { "known as", "%f[%a]known as an? ([^,;:.()]+)", 0.85 },
  { "known as", "%f[%a]known as ([^,;:.()]+)", 0.7 },
  { "so-called", "%f[%a]so%-called ([^,;:.()]+)", 0.6 },
  { "By ", "^By ([^,;:.()]+) we mean ", 0.95 },
  { "By ", "^By ([^,;:.()]+) is meant ", 0.95 },
  { "Unter ", "^Unter ([^,;:.()]+) versteht man ", 0.95 },
  { "nennt man", "nennt man ([^,;:.()]+)", 0.85 },
  { "wird als", "wird als ([^,;:.()]+) bezeichnet", 0.85 },
}

-- Japanese and Chinese: what stands before these words at the start.
local BEFORE_WIDE = { "とは", "是指" }

local function by_wide_name(plain)
  for _, joint in ipairs(BEFORE_WIDE) do
    local first = plain:find(joint, 1, true)
    local term = first and tidy(plain:sub(1, first - 1))
    if term and term ~= "" and unicode.length(term) <= 16
       and not (term:find("、", 1, true) or term:find("，", 1, true)) then
      return { term = term, strength = 0.9 }
    end
  end
end

local function cut_at_joint(name)
  local kept = {}
  for word in name:gmatch("%S+") do
    if #kept > 0 and JOINT[word] then break end
    kept[#kept + 1] = word
  end
  return table.concat(kept, " ")
end

local function by_name(plain)
  for _, pattern in ipairs(BY_NAME) do
    -- Most sentences do not contain the words: a plain search is cheap.
    local name = plain:find(pattern[1], 1, true) and plain:match(pattern[2])
    if name then
      local found = definition(cut_at_joint(name), pattern[3])
      if found then return found end
    end
  end
end

-- What follows an emphasised term to explain it, and what stands before one that
-- was explained.
local EXPLAINING = { "^:%s", "^%s*—%s", "^%s*–%s", "^, an? ", "^, the ", "^, ein" }
local NAMING = { "called an? $", "called the $", "called $", "known as an? $",
  "known as the $", "known as $", "name is $", "nennt man %a* ?$", "heißt %a* ?$" }
local function matches_any(text, patterns)
  for _, pattern in ipairs(patterns) do
    if text:find(pattern) then return true end
  end
  return false
end

-- "A **cell** of the index is a ...", "... means that".
local function verb_explains(near)
  if near:find("^[^.;]-%f[%w]means?%f[%W]") then return true end
  for _, copula in ipairs { "is", "are", "ist", "sind" } do
    local following, kind = near:match("^[^.;]-%f[%w]" .. copula .. "%s+(%S+)%s*(%S*)")
    if following then return explains(following, kind) end
  end
end

-- An emphasised term that is soon followed by what explains it, or follows it.
local EMPHASIS = { "^(.-)%*%*([^*]+)%*%*(.*)$", "^(.-)%*([^*%s][^*]*)%*(.*)$",
  "^(.-)%f[%w_]_([^_]+)_%f[^%w_](.*)$" }

local function by_emphasis(markdown)
  local before, term, after
  for _, pattern in ipairs(EMPHASIS) do
    if not term then before, term, after = markdown:match(pattern) end
  end
  if not term or #before > 160 then return nil end
  term = inline.plain(term):gsub("[.:]$", "")
  if matches_any(after, EXPLAINING)
     or #before <= 40 and verb_explains(after:sub(1, 60)) then
    return definition(term, 0.9)
  elseif matches_any(before, NAMING) then
    return definition(term, 0.95)
  end
end

---The term a sentence defines, or nil.
---@param markdown string the sentence
---@param plain string the same as plain text
---@return textbook.Definition?
function definitions.of_sentence(markdown, plain)
  if plain:find("%?[\"'”)]*$") then return nil end
  local emphasised = markdown:find("[*_]") and by_emphasis(markdown)
  return emphasised or by_name(plain) or by_subject(plain) or by_wide_name(plain)
end

-- What separates a term from its explanation in a list, and how sure it is.
local SEPARATORS = { { ": ", 0.6 }, { " — ", 0.7 }, { " – ", 0.7 }, { " -- ", 0.7 },
  { " - ", 0.7 } }

-- "**term** rest" without the separator, which may also stand in the emphasis.
local function emphasised_item(markdown)
  local term, text = markdown:match("^%*%*([^*]+)%*%*(.*)$")
  if not term then return nil end
  for _, separator in ipairs { ":", " —", " –", " -" } do
    if text:sub(1, #separator) == separator then
      return term, text:sub(#separator + 1), 0.9
    end
  end
  if term:find("[.:]$") then return term, text, 0.9 end
end

local function separated_item(markdown)
  local term, text, strength
  for _, separator in ipairs(SEPARATORS) do
    local first, last = markdown:find(separator[1], 1, true)
    if first and (not term or first <= #term) then
      term, text = markdown:sub(1, first - 1), markdown:sub(last + 1)
      strength = separator[2]
    end
  end
  if term and not term:find("[.,;!?]") then return term, text, strength end
end

---The term an item of a list explains ("**term**: text", "term - text"), and
---the text that explains it, or nil.
---@param markdown string
---@return textbook.Definition?
function definitions.of_item(markdown)
  local term, text, strength = emphasised_item(markdown)
  if not term then term, text, strength = separated_item(markdown) end
  if not term or words.count(text) < 4 then return nil end
  local found = definition(inline.plain(term):gsub("[.:]$", ""), strength)
  if found then found.text = unicode.capitalized((text:gsub("^%s+", ""))) end
  return found
end

return definitions
