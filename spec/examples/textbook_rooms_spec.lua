-- The rooms of the textbook pipeline that choose, write, check and run, one by one.
-- Those that read are in textbook_reading_spec.lua, the program as a whole is in
-- textbook_spec.lua.

package.path = "examples/textbook/?.lua;" .. package.path

local store_file = require "store_file"
local textbook = require "textbook_run"
local anchors = require "textbook.anchors"
local chapter = require "textbook.chapter"
local condense = require "textbook.condense"
local figure = require "textbook.figure"
local inline = require "textbook.inline"
local job_pipeline = require "job_tracker.pipeline"
local markdown = require "textbook.markdown"
local outline = require "textbook.outline"
local pieces = require "textbook.pieces"
local pipeline = require "textbook.pipeline"
local prose = require "textbook.prose"
local sections = require "textbook.sections"
local steps = require "textbook.steps"
local topics = require "textbook.topics"
local validation = require "textbook.validation"
local JobTracker = require("job_tracker").JobTracker

after_each(store_file.clean)

describe("sections", function()
  local function build(text)
    local blocks, references = markdown.parse(text)
    local total = prose.read(blocks, references)
    local plan = outline.build { blocks = blocks, references = references, path = "x.md" }
    local list = assert(sections.build(plan, { words = total,
      background = topics.background(blocks, total) }))
    local titles = {}
    for index, section in ipairs(list) do titles[index] = section.title end
    return titles, plan, list
  end

  local function headed(level, title, size)
    return ("#"):rep(level) .. " " .. title .. "\n\n" .. textbook.prose(1, size)
  end

  local function all(titles, size)
    local texts = {}
    for index, title in ipairs(titles) do texts[index] = headed(2, title, size) end
    return "# Book\n\n" .. table.concat(texts, "\n")
  end

  it("are the author's where there are five to eight", function()
    for _, titles in ipairs { { "A", "B", "C", "D", "E" },
        { "A", "B", "C", "D", "E", "F", "G", "H" } } do
      assert.same(titles, (build(all(titles, 8))))
    end
  end)

  it("join the lightest neighbours where there are more", function()
    local text = all({ "A", "B", "C" }, 12) .. headed(2, "D", 4) .. headed(2, "E", 4)
      .. all({ "F", "G", "H", "I" }, 12):gsub("^# Book\n", "")
    local titles, _, list = build(text)
    assert.same({ "A", "B", "C", "D and E", "F", "G", "H", "I" }, titles)
    assert.same({ "D", "E" }, { list[4].parts[1].title, list[4].parts[2].title })
  end)

  it("split the largest along its subheadings where there are fewer", function()
    local titles = build("# Book\n\n" .. headed(2, "A", 8) .. headed(2, "B", 1)
      .. headed(3, "B1", 9) .. headed(3, "B2", 9) .. headed(3, "B3", 9) .. headed(2, "C", 8))
    assert.same({ "A", "B1", "B2", "B3", "C" }, titles)
  end)

  it("are denied soon to a text that is nothing but headings", function()
    local blocks, references = markdown.parse(("# a\n"):rep(40000))
    local total = prose.read(blocks, references)
    local plan = outline.build { blocks = blocks, references = references, path = "x.md" }
    local begun = os.clock()
    assert.is_nil(sections.build(plan, { words = total,
      background = topics.background(blocks, total) }))
    assert.is_true(os.clock() - begun < 20) -- while it lasts, an nginx worker does nothing else
  end)

  it("cut where the subject changes, if there are no headings", function()
    local function about(one, two, three)
      local lines = {}
      for index = 1, 24 do
        lines[index] = ("The %s of a %s needs its %s. "):format(
          ({ one, two, three })[index % 3 + 1], ({ two, three, one })[index % 3 + 1], one)
          .. (index % 4 == 0 and "\n\n" or "")
      end
      return table.concat(lines)
    end
    local titles, _, list = build(about("whale", "harpoon", "ocean")
      .. about("tractor", "harvest", "barley") .. about("violin", "melody", "orchestra")
      .. about("glacier", "crevasse", "summit") .. about("kernel", "scheduler", "thread"))
    assert.equal(5, #titles)
    for index, word in ipairs { "whale", "tractor", "violin", "glacier", "kernel" } do
      local said = 0
      for _, block in ipairs(list[index].entries[1].blocks) do
        for _, sentence in ipairs(block.sentences) do
          assert.is_truthy(sentence.plain:find(word, 1, true), sentence.plain)
          said = said + 1
        end
      end
      assert.equal(24, said)
      assert.is_truthy(titles[index]:lower():find(word, 1, true), titles[index])
    end
  end)

  it("give every entry of the outline its section", function()
    local texts = {}
    for index = 1, 200 do texts[index] = headed(1 + index % 5, "Entry " .. index, index % 3) end
    local _, plan, list = build(table.concat(texts))
    assert.is_true(#plan.entries >= 199)
    for _, entry in ipairs(plan.entries) do
      assert.is_true(entry.section >= 1 and entry.section <= #list, entry.title)
    end
  end)

  it("say when the text is too short", function()
    local blocks = markdown.parse("# A\n\nOne short sentence here.\n")
    prose.read(blocks, {})
    local plan = outline.build { blocks = blocks, references = {}, path = "x" }
    local list, message = sections.build(plan, { words = 4,
      background = topics.background(blocks, 4) })
    assert.is_nil(list)
    assert.is_truthy(message:find("too short for a chapter of 5 sections: 4 words", 1, true))
  end)
end)

describe("condense", function()
  -- The kept texts of a section with this text, and the reading they are from.
  local function condensed(text, budget)
    local blocks, references = markdown.parse(text)
    prose.read(blocks, references)
    local entry = outline.derived("Locks", blocks)
    local part = { title = "Locks", entries = { entry }, words = entry.words }
    local section = { title = "Locks", words = entry.words, parts = { part } }
    local reading = pieces.read(section)
    local kept = condense.select(reading, section, condense.spread { reading }, budget)
    local texts = {}
    for index, piece in ipairs(kept) do texts[index] = piece.text or piece.block.kind end
    return texts, kept, reading
  end

  local FILLER = "\n\nOther weather came over other hills on some other day. "
    .. "Nobody minded that the rain had been falling so long."

  it("takes the telling opening of a paragraph first", function()
    assert.same({ "Locks order the writers of locks." },
      (condensed("Locks order the writers of locks. Later the writers had lunch at home."
        .. FILLER, 6)))
  end)

  it("keeps a sentence that points back with the one it points to", function()
    local texts = condensed("The afternoon was long and rather pleasant. It locks writers "
      .. "and lock holders out of the locked locks. " .. FILLER, 22)
    assert.equal("The afternoon was long and rather pleasant.", texts[1])
    assert.equal("It locks writers and lock holders out of the locked locks.", texts[2])
  end)

  it("keeps an announcement with what it announces", function()
    assert.same({ "Locks are of these kinds:", "list" },
      (condensed("Locks are of these kinds:\n\n- spin locks\n- robust locks" .. FILLER, 12)))
  end)

  it("leaves an announcement whose listing is too long", function()
    local long = ("lock();\n"):rep(50)
    for _, text in ipairs(condensed("Locks are locked by lock code like so:\n\n```c\n" .. long
        .. "```\n\nA lock is locked once. " .. FILLER, 30)) do
      assert.is_nil(text:find("like so:", 1, true))
      assert.not_equal("code", text)
    end
  end)

  it("does not say the same twice", function()
    local texts = condensed(("Locks order all the writers.\n\n"):rep(5)
      .. "A crash of the holder leaves marks in the region." .. FILLER, 30)
    assert.equal("Locks order all the writers.", texts[1])
    assert.equal("A crash of the holder leaves marks in the region.", texts[2])
  end)

  it("leaves nothing out that a kept piece needs, and keeps the order", function()
    local _, kept, reading = condensed(store_file.read("examples/textbook/shared_memory.md"), 900)
    local is_kept, position, needs = {}, 0, 0
    for _, piece in ipairs(kept) do is_kept[piece] = true end
    for index, piece in ipairs(reading.pieces) do
      if is_kept[piece] then
        assert.is_true(index > position)
        position = index
        for _, needed in ipairs(piece.needs) do
          assert.is_true(is_kept[reading.pieces[needed]], piece.text)
          needs = needs + 1
        end
      end
    end
    assert.is_true(#kept > 25 and needs >= 3, #kept .. " kept, " .. needs .. " needs")
  end)
end)

describe("chapter", function()
  it("names anchors as GitHub does", function()
    local name = anchors.namer()
    assert.equal("1-whats-new-read-write-ö", name("1. What's new? (Read-write) Ö"):gsub("%-%-", "-"))
    assert.equal("same", name("Same"))
    assert.equal("same-1", name("same!"))
    assert.equal("a--b", name("A – B"))
    assert.equal("共有メモリ", name("共有メモリ。"))
  end)

  it("shows plain text as it is", function()
    for _, text in ipairs { "a*b* _c_ `d` <e> [f](g) h_i | \\j", "snake_case" } do
      assert.equal(text, inline.plain(chapter.escaped(text)))
    end
    assert.equal("1,234,567", chapter.grouped(1234567))
    assert.equal("123", chapter.grouped(123))
  end)
end)

describe("validation", function()
  -- A sound chapter, and what is needed to judge it; each spec breaks one thing.
  local function product()
    local parts = { "# Book", "![Its structure](figure.svg)", "## Contents" }
    local contents, made = {}, { entries = {}, sections = {}, terms = { { term = "cell" } },
      figure_name = "figure.svg", files = { ["figure.svg"] = true } }
    local shown = {}
    for number = 1, 5 do
      contents[number] = ("%d. [Part %d](#%d-part-%d)"):format(number, number, number, number)
      made.sections[number] = { number = number, title = "Part " .. number }
      made.entries[number] = { title = "Entry " .. number, section = number }
      shown[number] = { number = number, title = "Part " .. number, subheadings = {},
        terms = {}, words = 5, source_words = 9, label = "5 of 9 words" }
    end
    parts[#parts + 1] = table.concat(contents, "\n") .. "\n6. [Glossary](#glossary)"
    for number = 1, 5 do
      parts[#parts + 1] = ("## %d. Part %d\n\nHere are two cells, see [one](#term-cell)."):format(
        number, number)
    end
    parts[#parts + 1] = "```c\n# no heading [no](#link)\n```"
    parts[#parts + 1] = '## Glossary\n\n<a id="term-cell"></a>**cell** — A cell is a word. '
      .. "*([section 1](#1-part-1))*"
    made.chapter = table.concat(parts, "\n\n") .. "\n"
    made.figure = figure.draw { title = "Book & <co>", sections = shown, summary = "x" }
    made.has_file = function(path) return made.files[path] == true end
    return made
  end

  local function replace(made, key, what, by)
    local first, last = made[key]:find(what, 1, true)
    assert(first, what)
    made[key] = made[key]:sub(1, first - 1) .. by .. made[key]:sub(last + 1)
  end

  it("finds nothing wrong with a sound chapter", function()
    assert.same({}, validation.problems(product()))
  end)

  local faults = {
    { "a section is missing", "chapter", "## 3. Part 3", "### Part 3",
      "section 3, “Part 3”, is missing" },
    { "a section is misnamed", "chapter", "## 2. Part 2", "## 2. Past 2", "is called “Past 2”" },
    { "a section is empty", "chapter",
      "## 4. Part 4\n\nHere are two cells, see [one](#term-cell).", "## 4. Part 4", "is empty" },
    { "sections are out of order", "chapter", "## 1. Part 1", "## 7. Part 1",
      "section 7 stands at place 1" },
    { "the contents are missing", "chapter", "## Contents", "## Content",
      "there are no contents" },
    { "the contents leave one out", "chapter", "4. [Part 4](#4-part-4)\n", "",
      "do not list section 4" },
    { "the contents lead nowhere", "chapter", "4. [Part 4](#4-part-4)\n", "4. Part 4\n",
      "leads nowhere: 4. Part 4" },
    { "a link leads nowhere", "chapter", "[one](#term-cell)", "[one](#term-call)",
      "leads to #term-call, which is not there" },
    { "a link leads to no file", "chapter", "[one](#term-cell)", "[one](other.md)",
      "the file other.md, which is not there" },
    { "a link leads out", "chapter", "[one](#term-cell)", "[one](../x.md)",
      "leads out of the chapter's folder" },
    { "a link is a script", "chapter", "[one](#term-cell)", "[one](javascript:x)",
      "javascript:x, which is no address" },
    { "two places have one name", "chapter", "Here are", '<a id="term-cell"></a>Here are',
      "2 places are called #term-cell" },
    { "the glossary is missing", "chapter", "## Glossary", "### Glossary", "no glossary" },
    { "a term is not explained", "chapter", "A cell is a word. ", "", "does not explain “cell”" },
    { "a term has no entry", "chapter", "**cell** —", "**call** —", "no entry for “cell”" },
    { "a listing does not end", "chapter", "\n```\n", "\n", "a listing does not end" },
    { "the title is missing", "chapter", "# Book\n", "Book\n", "begin with its title" },
    { "the text is not UTF-8", "chapter", "Here are", "Here\255are", "not UTF-8 at byte" },
    { "the figure is not shown", "chapter", "![Its structure](figure.svg)", "",
      "does not show its figure" },
    { "the figure has no alternative", "chapter", "![Its structure]", "![]",
      "no alternative text" },
    { "the figure is not well-formed", "figure", "</title>", "</titel>", "not well-formed" },
    { "the figure has a stray ampersand", "figure", "&amp;", "&", "a stray &" },
    { "the figure is cut off", "figure", "</svg>", "", "<svg> without its end" },
    { "the figure has no description", "figure", "<desc id", "<metadata id", "well-formed" },
    { "the figure leaves a section out", "figure", "5, Part 5", "Part 5", "not show section 5" },
  }
  for _, fault in ipairs(faults) do
    it("finds that " .. fault[1], function()
      local made = product()
      replace(made, fault[2], fault[3], fault[4])
      local problems = table.concat(validation.problems(made), "\n")
      assert.is_truthy(problems:find(fault[5], 1, true), "found only: " .. problems)
    end)
  end

  it("finds that an entry of the outline has no section", function()
    local made = product()
    made.entries[6] = { title = "Lost" }
    made.entries[7] = { title = "Astray", section = 9 }
    assert.same({ "the outline's “Lost” has no section", "the outline's “Astray” has no section" },
      validation.problems(made))
  end)

  it("finds that a term occurs in no section", function()
    local made = product()
    made.chapter = made.chapter:gsub("two cells", "a cellar")
    assert.same({ "the glossary's “cell” occurs in no section" }, validation.problems(made))
  end)

  it("finds that the figure's file is gone", function()
    local made = product()
    made.files, made.figure = {}, nil
    assert.equal(2, #validation.problems(made))
  end)
end)

describe("pipeline", function()
  local folder

  before_each(function()
    JobTracker.clear_jobs()
    folder = store_file.folder()
  end)
  after_each(function() JobTracker.clear_jobs() end)

  local TEXT = "examples/textbook/shared_memory.md"

  -- Runs the pipeline on an input, with one more step after the one of that name.
  local function run_with(input, after, extra)
    local failure, id
    local declared = pipeline.declaration { tracker = JobTracker, on_error = function(given)
      failure = given
    end }
    for index = #declared.steps, 1, -1 do
      if declared.steps[index].name == after then
        table.insert(declared.steps, index + 1, { name = "extra", run = extra })
      end
    end
    local result, message, code = job_pipeline.new(declared):run(input, {
      on_start = function(started) id = started end })
    return JobTracker.get_job(id), { result = result, message = message, code = code,
                                     failure = failure }
  end

  local function run(after, extra)
    return run_with({ path = TEXT, out = folder .. "/out" }, after, extra)
  end

  it("fails the job on a fault of the program, and keeps the traceback out of it", function()
    local job, outcome = run("outline", function() error("boom") end)
    assert.is_nil(outcome.result)
    assert.equal("failed", job.status)
    assert.equal("extra: boom", job.error)
    assert.is_truthy(outcome.failure.traceback:find("boom", 1, true))
    assert.is_truthy(outcome.failure.traceback:find("stack traceback", 1, true))
    assert.is_true(job.progress > 0 and job.progress < 0.5)
  end)

  it("does not take what a text does not allow for a fault of the program", function()
    local job, outcome = run_with({ path = "x", text = "Too short.", out = folder .. "/out" })
    assert.equal("failed", job.status)
    assert.is_truthy(job.error:find("^division: the text is too short"), job.error)
    assert.equal(job.error, outcome.message)
    assert.equal("division", outcome.failure.step)
    assert.is_nil(outcome.failure.traceback)
  end)

  it("fails the job when what was written is broken, and publishes nothing", function()
    local job, outcome = run("chapter", function(context)
      local staging = steps.staging(context)
      assert(os.remove(staging .. "/" .. steps.FIGURE))
      local path = staging .. "/" .. steps.CHAPTER
      store_file.write(path, (store_file.read(path):gsub("\n## 2%. ", "\n### 2. ")))
      return true
    end)
    assert.is_nil(outcome.result)
    assert.equal("failed", job.status)
    for _, problem in ipairs { "validation: the chapter is not valid: ", "is missing",
        "the file figure.svg, which is not there" } do
      assert.is_truthy(job.error:find(problem, 1, true), job.error)
    end
    assert.equal("", textbook.list(folder .. "/out"))
  end)

  it("stages what it writes in a folder that is called like the job", function()
    local staged
    local job = run("chapter", function()
      staged = textbook.list(folder .. "/out")
      return true
    end)
    assert.equal(".textbook-" .. job.task_id .. "\n", staged)
    assert.equal("completed", job.status)
  end)

  it("removes what it has staged when it is cancelled", function()
    local job, outcome = run("chapter", function(context)
      assert(JobTracker.cancel_job(context.task_id))
      return true
    end)
    assert.equal("cancelled", outcome.code)
    assert.equal("failed", job.status)
    assert.equal("", textbook.list(folder .. "/out"))
  end)

  it("stops, without a fault, when somebody else ends the job", function()
    local job, outcome = run("outline", function(context)
      assert(JobTracker.update_job(context.task_id, { status = "failed", error = "enough" }))
      return true
    end)
    assert.is_nil(outcome.failure.traceback)
    assert.equal("invalid_transition", outcome.code)
    assert.equal("failed", job.status)
  end)

  it("completes the job with what it made, and says how each step went", function()
    local job, outcome = run()
    assert.same({ "completed", 1 }, { job.status, job.progress })
    assert.same(outcome.result, job.result)
    assert.equal(folder .. "/out/chapter.md", job.result.chapter)
    assert.equal("chapter.md\nfigure.svg\n", textbook.list(folder .. "/out"))
    local names = {}
    for index, step in ipairs(job.meta.steps) do
      names[index] = step.name
      assert.equal("completed", step.status)
      assert.equal(step.name == "sections" and job.result.sections or 1, step.done)
    end
    assert.same({ "reading", "outline", "division", "sections", "glossary", "figure", "chapter",
      "validation", "publication" }, names)
  end)

  it("makes a chapter of a text that is in no file, in a folder of the job's own", function()
    local job = run_with({ path = "note.md", text = store_file.read(TEXT), out = folder,
                           own_folder = true, address = "/chapters" })
    assert.equal("completed", job.status)
    assert.equal("note.md", job.meta.source)
    assert.equal("/chapters/" .. job.task_id .. "/chapter.md", job.result.chapter)
    assert.equal("/chapters/" .. job.task_id .. "/figure.svg", job.result.figure)
    assert.equal("chapter.md\nfigure.svg\n", textbook.list(folder .. "/" .. job.task_id))
    assert.is_truthy(store_file.read(folder .. "/" .. job.task_id .. "/chapter.md")
      :find("“note.md”", 1, true))
  end)
end)
