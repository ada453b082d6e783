-- steps: what the pipeline does, one function a step. Each takes the context, a
-- table that the steps before it have filled, adds its own product, and returns
-- true, or nil and a message for people when the text does not allow it. The
-- tracker is not known here: a step says how far it is with
-- context.report(fraction, text) and leaves the rest to whoever runs it.

local chapter = require "textbook.chapter"
local condense = require "textbook.condense"
local figure = require "textbook.figure"
local files = require "textbook.files"
local glossary = require "textbook.glossary"
local markdown = require "textbook.markdown"
local outline = require "textbook.outline"
local pieces = require "textbook.pieces"
local prose = require "textbook.prose"
local reader = require "textbook.reader"
local sections = require "textbook.sections"
local topics = require "textbook.topics"
local unicode = require "textbook.unicode"
local validation = require "textbook.validation"

local steps = {}

---@class textbook.Context
---@field path string the source
---@field out string the folder the chapter goes to
---@field staging string a folder beside it, of this run alone
---@field report fun(fraction: number, text: string)
---@field document table? blocks, references, title, path
---@field words integer? of the source
---@field outline textbook.Outline?
---@field sections textbook.Section[]?
---@field readings textbook.Reading[]?
---@field kept textbook.Piece[][]?
---@field written textbook.WrittenSection[]?
---@field terms textbook.Term[]?
---@field background textbook.Background?
---@field lead string[]?
---@field svg string?
---@field markdown string?
---@field result table? what the job's result will be

steps.CHAPTER, steps.FIGURE = "chapter.md", "figure.svg"

local LEAD_WORDS = 90

---Reads the source: bytes to blocks.
function steps.reading(context)
  local name = chapter.source_name(context.path)
  context.report(0, "Reading " .. name)
  local bytes, message = reader.read(context.path)
  if not bytes then return nil, message end
  local objection = reader.objection(bytes)
  if objection then return nil, ("cannot use %s: %s"):format(context.path, objection) end
  local text, title = reader.clean(bytes)
  local named_so = context.path:find("%.md$") or context.path:find("%.markdown$")
  local plain = not named_so and not markdown.is_markdown(text)
  local blocks, references = markdown.parse(text, plain)
  if plain then blocks = outline.with_plain_headings(blocks) end
  context.report(0.4, ("Reading %s bytes as %s"):format(chapter.grouped(#bytes),
    plain and "plain text" or "Markdown"))
  context.words = prose.read(blocks, references)
  context.document = { blocks = blocks, references = references, title = title,
                       path = context.path }
  context.report(1, ("Read %s words"):format(chapter.grouped(context.words)))
  return true
end

---Finds the headings.
function steps.outlining(context)
  context.report(0, "Looking for headings")
  context.outline = outline.build(context.document)
  context.background = topics.background(context.document.blocks, context.words)
  local headings = #context.outline.entries
  context.report(1, headings == 0 and "No headings: looking for turns of the subject"
    or ("Outline of %s heading%s"):format(chapter.grouped(headings),
                                          headings == 1 and "" or "s"))
  return true
end

local function condensed_lead(context)
  local lead = outline.derived("", context.outline.lead)
  local section = { number = 0, title = context.outline.title, words = lead.words }
  section.parts = { { title = "", entries = { lead }, words = lead.words, cuts = 1,
                      untitled = true } }
  local reading = pieces.read(section)
  if #reading.pieces == 0 then return {} end
  local spread = condense.spread { reading }
  local kept = condense.select(reading, section, spread, math.min(LEAD_WORDS, lead.words))
  local part = chapter.section(section, kept, context.document.references).parts[1]
  return part and part.blocks or {}
end

local function condense_section(context, section, spread)
  local index, count = section.number, #context.sections
  context.report(index / (count + 1), ("Section %d of %d: %s"):format(index, count,
    unicode.shortened(section.title, 80)))
  local total = 0
  for _, each in ipairs(context.sections) do total = total + each.words end
  local kept = condense.select(context.readings[index], section, spread,
                               condense.budget(section, count, total))
  if #kept == 0 then
    return nil, ("section %d, “%s”, has no sentence that could be kept"):format(
      index, section.title)
  end
  context.kept[index] = kept
  context.written[index] = chapter.section(section, kept, context.document.references)
  return true
end

---Divides the text into sections and condenses each.
function steps.sectioning(context)
  context.report(0, "Dividing the text into sections")
  local list, message = sections.build(context.outline, { words = context.words,
                                                          background = context.background })
  if not list then return nil, message end
  context.sections, context.readings, context.kept, context.written = list, {}, {}, {}
  context.lead = condensed_lead(context)
  for index, section in ipairs(list) do
    context.readings[index] = pieces.read(section)
  end
  local spread = condense.spread(context.readings)
  for _, section in ipairs(list) do
    local condensed, why = condense_section(context, section, spread)
    if not condensed then return nil, why end
  end
  return true
end

---Collects the terms and the sentences that define them.
function steps.glossing(context)
  context.report(0, "Looking for definitions")
  local texts = {}
  prose.each(context.document.blocks, function(sentence)
    texts[#texts + 1] = sentence.terms
  end)
  context.terms = glossary.build { sections = context.sections, texts = texts,
    readings = context.readings, kept = context.kept, background = context.background,
    chapter = chapter.plain(context.written) }
  context.report(1, ("Glossary of %d terms"):format(#context.terms))
  return true
end

local function figure_sections(context)
  local shown = {}
  for index, section in ipairs(context.written) do
    local subheadings, terms = {}, {}
    for _, part in ipairs(section.parts) do subheadings[#subheadings + 1] = part.title end
    for _, term in ipairs(context.terms) do
      if term.section == section.number then terms[#terms + 1] = term.term end
    end
    shown[index] = { number = section.number, title = section.title, terms = terms,
      subheadings = subheadings, words = section.words,
      source_words = section.source_words,
      label = ("%s of %s words"):format(chapter.grouped(section.words),
                                        chapter.grouped(section.source_words)) }
  end
  return shown
end

local function kept_words(context)
  local total = 0
  for _, section in ipairs(context.written) do total = total + section.words end
  return total
end

---Draws the structure of the chapter.
function steps.drawing(context)
  context.report(0, "Drawing the figure")
  local shown = figure_sections(context)
  context.alternative = figure.description(context.outline.title, shown)
  context.svg = figure.draw { title = context.outline.title, sections = shown,
    summary = ("%d sections · %d terms · %s of %s words kept"):format(#shown,
      #context.terms, chapter.grouped(kept_words(context)),
      chapter.grouped(context.words)) }
  return true
end

---Writes chapter and figure into the staging folder.
function steps.writing(context)
  context.report(0, "Writing " .. steps.CHAPTER)
  context.markdown = chapter.write { title = context.outline.title,
    source = chapter.source_name(context.path), words = context.words,
    lead = context.lead, sections = context.written, terms = context.terms,
    figure = steps.FIGURE, alternative = context.alternative }
  local made, message = files.make_folder(context.staging)
  if not made then return nil, "cannot make the output folder: " .. message end
  local products = { [steps.CHAPTER] = context.markdown, [steps.FIGURE] = context.svg }
  for name, text in pairs(products) do
    local written, why = files.write(context.staging .. "/" .. name, text)
    if not written then return nil, "cannot write " .. why end
  end
  return true
end

---Reads back what was written and checks it; only a chapter without faults
---takes the place of an earlier one.
function steps.validating(context)
  local count = #validation.checks
  local problems = validation.problems({
    chapter = files.read(context.staging .. "/" .. steps.CHAPTER) or "",
    figure = files.read(context.staging .. "/" .. steps.FIGURE),
    figure_name = steps.FIGURE, entries = context.outline.entries,
    sections = context.sections, terms = context.terms,
    has_file = function(path) return files.exists(context.staging .. "/" .. path) end,
  }, function(position, name)
    context.report((position - 1) / (count + 1), ("Check %d of %d: %s"):format(position,
      count, name))
  end)
  if #problems > 0 then
    return nil, "the chapter is not valid: " .. table.concat(problems, "; ")
  end
  context.report(count / (count + 1), "Putting the chapter in its place")
  for _, name in ipairs { steps.FIGURE, steps.CHAPTER } do
    local moved, message = os.rename(context.staging .. "/" .. name,
                                     context.out .. "/" .. name)
    if not moved then return nil, "cannot move " .. message end
  end
  context.result = { chapter = unicode.printable(context.out .. "/" .. steps.CHAPTER),
    figure = unicode.printable(context.out .. "/" .. steps.FIGURE),
    sections = #context.sections, terms = #context.terms,
    headings = #context.outline.entries,
    words = { source = context.words, chapter = kept_words(context) } }
  return true
end

---The steps in order. 'share' says how much of the whole each one is.
---@class textbook.Step
---@field name string
---@field share number
---@field run fun(context: textbook.Context): true?, string?

---@type textbook.Step[]
steps.list = {
  { name = "reading", share = 0.08, run = steps.reading },
  { name = "outline", share = 0.07, run = steps.outlining },
  { name = "sections", share = 0.50, run = steps.sectioning },
  { name = "glossary", share = 0.10, run = steps.glossing },
  { name = "figure", share = 0.07, run = steps.drawing },
  { name = "chapter", share = 0.06, run = steps.writing },
  { name = "validation", share = 0.12, run = steps.validating },
}

return steps
