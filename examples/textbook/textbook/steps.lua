-- steps: what the pipeline does, one function a step. Each takes the context, in which
-- it finds the input and what the steps before it have returned, and returns its own
-- product; nil and a message for people when the text does not allow it. With
-- say(fraction, text) it tells how far it is. How and to whom, it does not know: that is
-- the matter of pipeline.lua.

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

---@class textbook.Input
---@field path string the source; beside 'text' only its name
---@field text string? what is to be used instead of the file
---@field out string the folder the chapter goes to
---@field own_folder boolean? it goes to a folder in 'out' that is called like the job
---@field address string? what 'out' is called for those who ask for the result

---@class textbook.Source a document
---@field blocks textbook.Block[]
---@field references table<string, string>
---@field title string?
---@field path string
---@field words integer

---@class textbook.Division
---@field sections textbook.Section[]
---@field readings textbook.Reading[] one for each section
---@field lead string[] Markdown blocks above the first section
---@field background textbook.Background
---@field spread table
---@field words integer in all sections

---@class textbook.Condensed
---@field kept textbook.Piece[]
---@field written textbook.WrittenSection

---@class textbook.Context : job_tracker.Context
---@field input textbook.Input
---@field reading textbook.Source?
---@field outline textbook.Outline?
---@field division textbook.Division?
---@field sections textbook.Condensed[]?
---@field glossary textbook.Term[]?
---@field figure { svg: string, alternative: string }?

---@alias textbook.Say fun(fraction: number, text: string)

steps.CHAPTER, steps.FIGURE = "chapter.md", "figure.svg"

local LEAD_WORDS = 90

-- Where something is below the folder or the address given.
local function place(context, base)
  return context.input.own_folder and base .. "/" .. context.task_id or base
end

---The folder the chapter goes to.
---@param context textbook.Context
---@return string
function steps.folder(context) return place(context, context.input.out) end

---A folder of this run alone, below it, where the chapter is written and checked.
---@param context textbook.Context
---@return string
function steps.staging(context)
  return steps.folder(context) .. "/.textbook-" .. context.task_id
end

-- What the file system refused. Who knows only an address is not told our paths: they go
-- where on_error puts tracebacks.
local function refused(context, what, why)
  local whole = what .. ": " .. why
  if not context.input.address then return nil, whole end
  error(setmetatable({ message = what }, { __tostring = function() return whole end }))
end

---Makes the staging folder: where nothing can be written, that is known before any work
---is done for it.
---@return true?
---@return string? message
function steps.prepare(context)
  local made, message = files.make_folder(steps.staging(context))
  if not made then return refused(context, "cannot make the output folder", message) end
  return true
end

---Removes what was staged and is still there, and a folder of the job's own in which nothing
---has come to be.
---@param context textbook.Context
function steps.clean_up(context)
  local staging = steps.staging(context)
  for _, name in ipairs { steps.CHAPTER, steps.FIGURE } do os.remove(staging .. "/" .. name) end
  os.remove(staging)
  if context.input.own_folder then os.remove(steps.folder(context)) end
end

-- One field of each, as an array.
local function each(list, field)
  local values = {}
  for index, one in ipairs(list) do values[index] = one[field] end
  return values
end

local function count_words(list)
  local total = 0
  for _, one in ipairs(list) do total = total + one.words end
  return total
end

-- -------------------------------------------------------------------- reading

local function bytes_of(input)
  if input.text then return input.text end
  return reader.read(input.path)
end

---Reads the source: bytes to blocks.
---@param context textbook.Context
---@param say textbook.Say
---@return textbook.Source?
---@return string? message
function steps.reading(context, say)
  local path = context.input.path
  say(0, chapter.source_name(path))
  local bytes, message = bytes_of(context.input)
  if not bytes then return nil, message end
  local objection = reader.objection(bytes)
  if objection then return nil, ("cannot use %s: %s"):format(path, objection) end
  local text, title = reader.clean(bytes)
  local named_so = path:find("%.md$") or path:find("%.markdown$")
  local plain = not named_so and not markdown.is_markdown(text)
  local blocks, references = markdown.parse(text, plain)
  if plain then blocks = outline.with_plain_headings(blocks) end
  say(0.4, ("%s bytes of %s"):format(chapter.grouped(#bytes), plain and "plain text" or "Markdown"))
  return { blocks = blocks, references = references, title = title, path = path,
           words = prose.read(blocks, references) }
end

---Finds the headings.
---@return textbook.Outline
function steps.outline(context, say)
  local found = outline.build(context.reading)
  local headings = #found.entries
  say(1, headings == 0 and "no headings, only turns of the subject"
    or ("%s heading%s"):format(chapter.grouped(headings), headings == 1 and "" or "s"))
  return found
end

-- ------------------------------------------------------------------- dividing

local function condensed_lead(context)
  local lead = outline.derived("", context.outline.lead)
  local section = { number = 0, title = context.outline.title, words = lead.words }
  section.parts = { { title = "", entries = { lead }, words = lead.words, cuts = 1,
                      untitled = true } }
  local reading = pieces.read(section)
  if #reading.pieces == 0 then return {} end
  local spread = condense.spread { reading }
  local kept = condense.select(reading, section, spread, math.min(LEAD_WORDS, lead.words))
  local part = chapter.section(section, kept, context.reading.references).parts[1]
  return part and part.blocks or {}
end

---Divides the text into sections.
---@return textbook.Division?
---@return string? message
function steps.division(context, say)
  local document = context.reading
  local background = topics.background(document.blocks, document.words)
  local list, message = sections.build(context.outline, { words = document.words,
                                                          background = background })
  if not list then return nil, message end
  local readings = {}
  for index, section in ipairs(list) do readings[index] = pieces.read(section) end
  say(1, ("%d sections"):format(#list))
  return { sections = list, readings = readings, background = background,
           lead = condensed_lead(context), spread = condense.spread(readings),
           words = count_words(list) }
end

---The sections, of which the next step condenses one after the other.
---@return textbook.Section[]
function steps.sections(context) return context.division.sections end

---What a section is called where it is condensed.
---@param section textbook.Section
---@return string
function steps.label(section) return unicode.shortened(section.title, 80) end

---Condenses a section.
---@param section textbook.Section
---@return textbook.Condensed?
---@return string? message
function steps.condense(context, section)
  local division = context.division
  local kept = condense.select(division.readings[section.number], section, division.spread,
                               condense.budget(section, #division.sections, division.words))
  if #kept == 0 then return nil, "it has no sentence that could be kept" end
  return { kept = kept, written = chapter.section(section, kept, context.reading.references) }
end

-- -------------------------------------------------------------------- writing

---Collects the terms and the sentences that define them.
---@return textbook.Term[]
function steps.glossary(context, say)
  local texts, division = {}, context.division
  prose.each(context.reading.blocks, function(sentence) texts[#texts + 1] = sentence.terms end)
  local terms = glossary.build { sections = division.sections, texts = texts,
    readings = division.readings, kept = each(context.sections, "kept"),
    background = division.background,
    chapter = chapter.plain(each(context.sections, "written")) }
  say(1, ("%d terms"):format(#terms))
  return terms
end

local function shown_in_figure(written, all_terms)
  local terms = {}
  for _, term in ipairs(all_terms) do
    if term.section == written.number then terms[#terms + 1] = term.term end
  end
  local subheadings = {}
  for _, part in ipairs(written.parts) do subheadings[#subheadings + 1] = part.title end
  return { number = written.number, title = written.title, terms = terms,
    subheadings = subheadings, words = written.words, source_words = written.source_words,
    label = ("%s of %s words"):format(chapter.grouped(written.words),
                                      chapter.grouped(written.source_words)) }
end

local function kept_words(context) return count_words(each(context.sections, "written")) end

---Draws the structure of the chapter.
function steps.figure(context)
  local shown, title, terms = {}, context.outline.title, context.glossary
  for index, condensed in ipairs(context.sections) do
    shown[index] = shown_in_figure(condensed.written, terms)
  end
  local summary = ("%d sections · %d terms · %s of %s words kept"):format(#shown, #terms,
    chapter.grouped(kept_words(context)), chapter.grouped(context.reading.words))
  return { alternative = figure.description(title, shown),
           svg = figure.draw { title = title, sections = shown, summary = summary } }
end

---Writes chapter and figure into the staging folder.
---@return true?
---@return string? message
function steps.chapter(context)
  local staging = steps.staging(context)
  local text = chapter.write { title = context.outline.title,
    source = chapter.source_name(context.input.path), words = context.reading.words,
    lead = context.division.lead, sections = each(context.sections, "written"),
    terms = context.glossary, figure = steps.FIGURE, alternative = context.figure.alternative }
  for name, product in pairs { [steps.CHAPTER] = text, [steps.FIGURE] = context.figure.svg } do
    local written, why = files.write(staging .. "/" .. name, product)
    if not written then return refused(context, "cannot write the chapter", why) end
  end
  return true
end

-- ------------------------------------------------------- checking, publishing

---Reads back what was written and checks it.
---@return true?
---@return string? message
function steps.validation(context, say)
  local staging, count = steps.staging(context), #validation.checks
  local problems = validation.problems({
    chapter = files.read(staging .. "/" .. steps.CHAPTER) or "",
    figure = files.read(staging .. "/" .. steps.FIGURE),
    figure_name = steps.FIGURE, entries = context.outline.entries,
    sections = context.division.sections, terms = context.glossary,
    has_file = function(path) return files.exists(staging .. "/" .. path) end,
  }, function(position, name)
    say((position - 1) / count, ("check %d of %d, %s"):format(position, count, name))
  end)
  if #problems > 0 then
    return nil, "the chapter is not valid: " .. table.concat(problems, "; ")
  end
  return true
end

---Puts the chapter in its place, a file at a time; an earlier one is there until then.
---@return table? the job's result
---@return string? message
function steps.publication(context)
  local folder, staging = steps.folder(context), steps.staging(context)
  for _, name in ipairs { steps.FIGURE, steps.CHAPTER } do
    local moved, message = os.rename(staging .. "/" .. name, folder .. "/" .. name)
    if not moved then return refused(context, "cannot move the chapter", message) end
  end
  steps.clean_up(context)
  local shown = unicode.printable(place(context, context.input.address or context.input.out))
  return { chapter = shown .. "/" .. steps.CHAPTER, figure = shown .. "/" .. steps.FIGURE,
    sections = #context.sections, terms = #context.glossary,
    headings = #context.outline.entries,
    words = { source = context.reading.words, chapter = kept_words(context) } }
end

return steps
