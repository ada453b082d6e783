-- prose: takes the blocks of a document apart into sentences, once, and notes
-- what every later step asks of them: how they read on their own, in plain, which
-- terms they are made of, and whether they can be read at all. It chooses nothing.

local inline = require "textbook.inline"
local sentences = require "textbook.sentences"
local unicode = require "textbook.unicode"
local words = require "textbook.words"

local prose = {}

---@class textbook.Sentence a sentence, an item of a list, or a quotation
---@field text string Markdown that stands on its own
---@field plain string
---@field terms string[] all of them, in order
---@field words integer
---@field readable boolean whether it is of a sensible length and of letters
---@field fit boolean whether it can be kept: readable, and a whole sentence

-- Shorter ones are cries and captions, longer ones no sentences.
local FEWEST, MOST = 4, 90

local function is_readable(sentence)
  local wide = sentence.plain:find(unicode.WIDE) ~= nil
  if sentence.words > MOST or sentence.words < FEWEST and not wide then return false end
  local letters = select(2, sentence.plain:gsub("[%a\128-\255]", ""))
  return letters * 2 >= #sentence.plain
end

-- The rest of a sentence that a quotation has broken, or a footnote.
local function is_fragment(sentence)
  return sentence.text:find("^%l[%l']*[ ,]") ~= nil
      or sentence.plain:find("^%[%d+%]") ~= nil
end

local function sentence_of(markdown, references, whole)
  local text = inline.standalone(markdown, references)
  local plain = inline.plain(text)
  if plain == "" then return nil end
  local sentence = { text = text, plain = plain, terms = words.terms(plain),
                     words = words.count(plain) }
  sentence.readable = is_readable(sentence)
  sentence.fit = sentence.readable and (whole or sentences.is_complete(text)
                 and not is_fragment(sentence))
  return sentence
end

-- An item of a list and a quotation are kept or left as a whole.
local function read_block(block, references)
  local list = {}
  if block.kind == "paragraph" then
    for _, markdown in ipairs(sentences.split(block.text, references)) do
      list[#list + 1] = sentence_of(markdown, references, false)
    end
  elseif block.kind == "list" then
    for _, item in ipairs(block.items) do
      item.sentence = sentence_of(item.text, references, true)
      list[#list + 1] = item.sentence
    end
  elseif block.kind == "quote" then
    list[1] = sentence_of(block.text, references, true)
  end
  return list
end

-- How many words of the block a chapter could use.
local function count_block(block)
  block.words = 0
  for _, sentence in ipairs(block.sentences) do
    if sentence.fit then block.words = block.words + sentence.words end
  end
end

---Reads all blocks: each gets its sentences, and the number of its words that can
---be read. Where hardly anything ends like a sentence (verse, notes), everything
---that can be read will do. Returns the number of all words.
---@param blocks textbook.Block[]
---@param references table<string, string>
---@return integer words
function prose.read(blocks, references)
  local total, readable, fit = 0, 0, 0
  for _, block in ipairs(blocks) do
    block.sentences = block.kind ~= "heading" and read_block(block, references) or {}
    count_block(block)
    fit = fit + block.words
    for _, sentence in ipairs(block.sentences) do
      total = total + sentence.words
      if sentence.readable then readable = readable + sentence.words end
    end
  end
  if fit * 3 < readable then
    for _, block in ipairs(blocks) do
      for _, sentence in ipairs(block.sentences) do sentence.fit = sentence.readable end
      count_block(block)
    end
  end
  return total
end

---A block of some of a paragraph's sentences, or some of a list's items.
---@param block textbook.Block
---@param first integer
---@param last integer
---@return textbook.Block
function prose.slice(block, first, last)
  local slice = { kind = block.kind, line = block.line, sentences = {} }
  if block.items then slice.items = {} end
  for index = first, last do
    slice.sentences[#slice.sentences + 1] = block.sentences[index]
    if block.items then slice.items[#slice.items + 1] = block.items[index] end
  end
  count_block(slice)
  return slice
end

---Calls 'visit' with each sentence of the blocks, in order.
---@param blocks textbook.Block[]
---@param visit fun(sentence: textbook.Sentence)
function prose.each(blocks, visit)
  for _, block in ipairs(blocks) do
    for _, sentence in ipairs(block.sentences) do visit(sentence) end
  end
end

return prose
